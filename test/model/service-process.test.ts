import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { createClient } from '../../src/client.ts'

const opened: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

/** `simpleia COMMAND` as a person starts it, with data of its own, on ports that are free. */
async function start(command: string, settings: Readonly<Record<string, string>> = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), 'simpleia-process-'))
  const environment = {
    ...process.env,
    LANG: 'C',
    PORT: '0',
    CLIENT_PORT: '0',
    DATA_DIR: dataDir,
    CONFIG_FILE: join(dataDir, 'config.json'),
    ...settings,
  }
  const child = spawn(process.execPath, ['src/main.ts', command], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  const exit = once(child, 'exit')
  opened.push(async () => {
    child.kill('SIGKILL')
    await exit
    await rm(dataDir, { recursive: true, force: true })
  })
  let said = ''
  child.stdout.resume()
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  return { child, exit, said: () => said }
}

async function startReady(command: string) {
  const service = await start(command)
  const addressOf = (name: string) => new RegExp(`${name}: +(http://\\S+)`).exec(service.said())?.[1]
  await expect.poll(() => addressOf(command === 'all' ? 'Web client' : 'API'), { timeout: 30_000 }).toBeDefined()
  const url = addressOf('API') ?? ''
  await expect
    .poll(
      () =>
        createClient({ baseUrl: url })
          .ready()
          .catch(() => undefined),
      { timeout: 60_000 },
    )
    .toBeDefined()
  return { ...service, url, webUrl: addressOf('Web client') ?? '', children: childrenOf(service.child) }
}

function childrenOf({ pid }: ChildProcess): readonly number[] {
  const list = execFileSync('ps', ['--ppid', String(pid), '-o', 'pid='], { encoding: 'utf8' })
  return list.split('\n').flatMap((line) => (line.trim() === '' ? [] : [Number(line)]))
}

/** Those that still run: one whose parent is gone may stay in the list of processes after its end. */
function living(processes: readonly number[]): readonly number[] {
  return processes.filter((pid) => {
    try {
      return !execFileSync('ps', ['-p', String(pid), '-o', 'stat='], { encoding: 'utf8' }).startsWith('Z')
    } catch {
      return false
    }
  })
}

async function readFirst(url: string) {
  const events = createClient({ baseUrl: url }).predictStream({ prompt: 'Once upon a time', max_length: 40, temperature: 0 })
  expect(await events.next()).toMatchObject({ value: { type: 'text' } })
  return events
}

test('SIGTERM lets answers end, on the port of the web client too; then no process is left and the exit code is 0', async () => {
  const { child, exit, url, webUrl, children } = await startReady('all')
  expect(children).toHaveLength(1)
  const streams = [await readFirst(url), await readFirst(webUrl)]
  child.kill('SIGTERM')
  for (const events of streams) {
    let last: string | undefined
    for await (const { type } of events) last = type
    expect(last).toBe('done')
  }
  expect((await exit)[0]).toBe(0)
  expect(living(children)).toEqual([])
})

test.each(['SIGKILL', 'two SIGTERM'])('the engine ends with its service: %s', async (how) => {
  const { child, exit, url, children } = await startReady('api')
  const events = await readFirst(url)
  if (how === 'SIGKILL') child.kill('SIGKILL')
  else {
    child.kill('SIGTERM')
    await expect
      .poll(() =>
        createClient({ baseUrl: url })
          .health()
          .catch(() => 'gone'),
      )
      .toBe('gone')
    child.kill('SIGTERM')
  }
  await exit
  await events.return(undefined).catch(() => undefined)
  await expect.poll(() => living(children), { timeout: 5000 }).toEqual([])
})

test.each(['PORT', 'CLIENT_PORT'])('a %s in use ends the start within five seconds, and is named', async (variable) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  opened.push(async () => void other.close())
  const address = other.address()
  const port = String(typeof address === 'object' && address !== null ? address.port : 0)
  const begin = performance.now()
  const { exit, said } = await start('all', { [variable]: port })
  expect((await exit)[0]).toBe(1)
  expect(performance.now() - begin).toBeLessThan(5000)
  expect(said()).toContain(`Port ${port} is in use`)
})

test('a key that can be guessed ends the start, though the model was being loaded', async () => {
  const begin = performance.now()
  const { exit, said } = await start('all', { SECRET_KEY: 'changeme'.repeat(5) })
  expect((await exit)[0]).toBe(1)
  expect(performance.now() - begin).toBeLessThan(5000)
  expect(said()).toContain('SECRET_KEY')
})
