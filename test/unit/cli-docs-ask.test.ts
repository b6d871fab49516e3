import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createServedCli } from './cli-world.ts'

/** Someone whose collection holds one text, with a model that answers so. */
async function createWorld(pieces: readonly string[], variables: Record<string, string> = {}) {
  const cli = await createServedCli({ pieces, ...variables })
  await cli.run('login ana --register', 'a-long-password-of-ana\n')
  const folder = join(cli.home, 'papers')
  await mkdir(folder)
  await writeFile(join(folder, 'hours.md'), '# Museum\n\nThe museum opens at ten. It closes on Mondays.')
  await cli.run(`docs add ${folder}`)
  return cli
}

test('an answer comes with its sources, and what no source says is marked', async () => {
  const { run } = await createWorld(['The museum opens at ten [1]. ', 'Dogs pay 9 euros [7].'])
  const { code, output, notes } = await run('docs ask When does the museum open?')
  expect({ code, output }).toEqual({ code: 0, output: 'The museum opens at ten [1]. Dogs pay 9 euros.\n' })
  expect(notes).toMatch(/Sources:\n {2}\[1\] Museum · .*hours\.md\n/)
  expect(notes).toContain('! No source says: Dogs pay 9 euros.')
})

test('as JSON it is what the service answers', async () => {
  const { run } = await createWorld(['The museum opens at ten [1].'])
  expect(JSON.parse((await run('docs ask When does the museum open? --json --mode words')).output)).toMatchObject({
    answer: 'The museum opens at ten [1].',
    sources: [{ number: 1, document: 'Museum', section: 'Museum' }],
  })
})

test('lines are a conversation: a question goes with those before', async () => {
  const { run, asked } = await createWorld(['The museum opens at ten [1].'])
  const { code, output } = await run('docs ask', 'When does the museum open?\nAnd on Mondays?\n')
  expect({ code, output }).toEqual({ code: 0, output: 'The museum opens at ten [1].\nThe museum opens at ten [1].\n' })
  const { prompt } = asked.at(-1) ?? {}
  expect(prompt?.type === 'chat' ? prompt.messages.slice(-3) : []).toMatchObject([
    { role: 'user', content: 'When does the museum open?' },
    { role: 'assistant', content: 'The museum opens at ten [1].' },
    { role: 'user', content: expect.stringContaining('And on Mondays?') },
  ])
})

test('a collection that there is not, and a mode that is none, are told', async () => {
  const { run } = await createWorld(['x'])
  expect(await run('docs ask Hello --collection nothing')).toMatchObject({ code: 1, notes: expect.stringContaining('nothing') })
  expect(await run('docs ask Hello --mode magic')).toMatchObject({ code: 1, notes: expect.stringContaining('magic') })
  expect(await run('docs ask --collection nothing', 'Hello\n')).toMatchObject({ code: 1, output: '' })
})
