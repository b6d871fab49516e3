import { expect, test } from 'vitest'
import { createClient } from '../../src/client.ts'
import { createScriptedCli, spanish } from './cli-scripted.ts'
import { createServedCli } from './cli-world.ts'

const password = 'a-long-password-of-ana'

async function openWorld(variables: Record<string, string> = {}) {
  const cli = await createServedCli({ service: { ALLOW_ANONYMOUS: 'false' }, ...variables })
  await cli.run('login ana --register', `${password}\n`)
  return cli
}

test('a key is shown once, alone on the output, and works', async () => {
  const { run, server } = await openWorld()
  const made = await run('keys add script --scopes inference,feedback --expires 90d --requests-per-day 2 --cost-per-day 0.5')
  expect(made).toMatchObject({ code: 0, output: expect.stringMatching(/^sk-simpleia-[0-9a-f]{16}-[\w-]{43}\n$/) })
  expect(made.notes).toBe('API key "script" made, with the scopes inference, feedback. This is the only time that it is shown:\n')
  const client = createClient({ baseUrl: server.url, token: made.output.trim() })
  expect(await client.predict({ prompt: 'x' })).toMatchObject({ choices: [{ text: 'Hello there' }] })
  const listed = await run('keys')
  expect(listed.output).toMatch(
    /^[0-9a-f]{16}\tscript\t….{4}\tinference,feedback\tuntil \S+\tlast used \S+\ttoday: 1 requests, 3 tokens\n$/,
  )
  expect(listed.output).not.toContain(made.output.trim().slice(-10))
  expect(JSON.parse((await run('keys list --json')).output)).toMatchObject([
    { name: 'script', quota: { requests_per_day: 2, tokens_per_day: null, cost_per_day_usd: 0.5 } },
  ])
})

test('a key is revoked by its id or its beginning, and is dead then', async () => {
  const { run, server } = await openWorld()
  for (const part of [12, 28]) {
    const key = (await run('keys add x')).output.trim()
    const typed = part === 28 ? key.slice(0, 28) : key.slice(12, 28)
    expect(await run(`keys revoke ${typed}`)).toMatchObject({ code: 0, notes: expect.stringContaining('is dead') })
    await expect(createClient({ baseUrl: server.url, token: key }).model()).rejects.toMatchObject({ code: 'unauthorized' })
  }
  expect(await run('keys revoke nothing')).toMatchObject({ code: 1, notes: 'No API key has the id "nothing".\n' })
  expect((await run('keys')).notes).toBe('There are no API keys.\n')
})

test('admins see and end the keys of all; others do not', async () => {
  const { run, server } = await openWorld()
  const client = createClient({ baseUrl: server.url })
  await client.register('luis', password)
  const { access_token: token } = await client.login('luis', password)
  const made = await createClient({ baseUrl: server.url, token }).addKey({ name: 'of \u001b[2Jluis' })
  await run('admin keys add mine')
  expect((await run('admin keys')).output).toMatch(/\tluis\tof \[2Jluis\t/)
  expect(JSON.parse((await run('admin keys list --json')).output)).toHaveLength(2)
  expect((await run(`keys revoke ${made.id}`)).code).toBe(1)
  expect((await run(`admin keys revoke ${made.id}`)).code).toBe(0)
  await run('login luis', `${password}\n`)
  expect((await run('admin keys')).code).toBe(1)
})

test('an admin changes the quota of a user', async () => {
  const { run } = await openWorld()
  const quota = (flags: string) => run(`admin users quota ANA ${flags}`.trim())
  expect(await quota('--requests-per-day 5 --tokens-per-day 0')).toMatchObject({
    code: 0,
    notes: 'The quota of ana a day: 5 requests, (without limit) tokens, (as for all users) USD.\n',
  })
  expect((await quota('--requests-per-day default')).notes).toContain('(as for all users) requests, (without limit) tokens')
  expect((await quota('')).notes).toContain('(without limit) tokens')
  expect(await quota('--requests-per-day many')).toMatchObject({
    code: 1,
    notes: '--requests-per-day must be a number, or "default", but is "many".\n',
  })
})

test('mistakes are told in Spanish too', async () => {
  const { run } = await openWorld({ LANG: 'es_ES.UTF-8' })
  expect((await run('keys add x --expires mañana')).notes).toContain('debe ser un plazo como 90d')
  expect((await run('keys add x --scopes all')).notes).toContain('Algo en la petición está mal.')
  expect((await run('keys add x')).notes).toContain('Esta es la única vez que se muestra')
})

test('a key may be asked for as JSON, with an expiry that is a date or none', async () => {
  const made = { id: 'k1', name: 'script', key: 'sk-simpleia-x', scopes: ['inference'] }
  const { run, asked } = await createScriptedCli({ 'POST /auth/keys': made }, { variables: spanish })
  expect(JSON.parse((await run('keys add script --json --expires 2030-05-06')).output)).toEqual(made)
  expect((await run('keys add script --expires=-1')).code).toBe(0)
  expect(asked.map(({ body }) => body)).toEqual([{ name: 'script', expires_at: '2030-05-06T00:00:00.000Z' }, { name: 'script' }])
  expect(await run('keys add script --tokens-per-day default')).toMatchObject({
    code: 1,
    notes: expect.stringMatching(/^--tokens-per-day debe ser un número, pero es "default"\.$/m),
  })
})
