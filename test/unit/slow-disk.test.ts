import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { glob, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createDiskRooms } from '../../src/disk-rooms.ts'
import { createLook } from '../../src/engine/look-at-disk.ts'
import { createSlowStatements } from '../../src/storage/slow-statements.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { onPostgres } from '../postgres/database-at.ts'
import { bodyOf, startServer } from '../server.ts'

const script = join(import.meta.dirname, 'slow-disk-process.ts')

function start(...args: readonly string[]): ChildProcess {
  const child = fork(script, args, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

describe('while the reader of the log stands still', () => {
  test('the service goes on, with a bounded part of the log in memory, and ends in order when it is told to', async () => {
    const child = start('log')
    const [{ waiting }] = await once(child, 'message')
    expect(waiting).toBeGreaterThan(0)
    expect(waiting).toBeLessThanOrEqual(1_000_000)
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  test('and when it leaves, the service goes on, too', async () => {
    const child = start('log')
    await once(child, 'message')
    child.stdout?.destroy()
    const left = once(child, 'exit')
    expect(await Promise.race([left, once(child, 'message'), new Promise((resolve) => setImmediate(resolve, 'on'))])).toBe('on')
    child.kill('SIGTERM')
    expect(await left).toEqual([0, null])
  })
})

describe('a disk that does not answer', () => {
  test('is asked once, whoever wants to know, and nobody waits for long', async () => {
    let looks = 0
    const look = createLook(
      () => {
        looks += 1
        return new Promise<string>(() => {})
      },
      'unknown',
      20,
    )
    expect(await Promise.all(Array.from({ length: 9 }, look))).toEqual(Array(9).fill('unknown'))
    expect(await look()).toBe('unknown')
    expect(looks).toBe(1)
  })

  test('is looked at again once it has answered, and one that fails is as one that says nothing', async () => {
    let looks = 0
    const rooms = createDiskRooms({ data: '/nowhere' }, async () => {
      looks += 1
      if (looks === 1) throw new Error('EIO')
      return { bavail: 1, blocks: 4, bsize: 10 }
    })
    expect(await rooms()).toEqual([])
    expect(await rooms()).toEqual([{ folder: 'data', freeBytes: 10, sizeBytes: 40 }])
  })

  test.skipIf(process.platform === 'win32')('leaves threads to others: who logs in is let in', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'simpleia-slow-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const fifo = join(folder, 'fifo')
    execFileSync('mkfifo', [fifo])
    expect(await once(start('threads', fifo), 'message')).toEqual(['hashed', undefined])
  })
})

describe('a slow database', () => {
  test('is told of for a minute', () => {
    let now = 0
    const { saw, isSlow } = createSlowStatements(() => now)
    saw(0.9)
    expect(isSlow()).toBe(false)
    saw(1)
    now += 59_999
    expect(isSlow()).toBe(true)
    now += 1
    expect(isSlow()).toBe(false)
  })

  test.skipIf(onPostgres)('keeps who writes waiting, to a good end, and /health says so afterwards', async () => {
    await using server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['x'] }) }) })
    const health = async () => (await bodyOf<{ database: string }>(await fetch(`${server.url}/health`))).database
    expect(await health()).toBe('ok')
    const lock = `const db = new (require('better-sqlite3'))(${JSON.stringify(join(server.dataDir, 'simpleia.db'))})
      db.exec('begin immediate'); console.log('held'); setTimeout(() => db.exec('commit'), 1200)`
    const holder = spawn(process.execPath, ['-e', lock], { stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void holder.kill('SIGKILL'))
    await once(createInterface({ input: holder.stdout }), 'line')
    expect(await server.login('ana')).not.toBe('')
    expect(await health()).toBe('slow')
    expect((await server.predict({ prompt: 'x' })).status).toBe(200)
  })
})

/** Where this or a child process waits for a disk with all that it does, and why that is no harm. */
const waitingAllowed: Readonly<Record<string, string>> = {
  'src/auth/common-password.ts': 'once, a file of the program',
  'src/cli/check-folders.ts': 'before the service starts',
  'src/cli/machine.ts': 'for the doctor',
  'src/config.ts': 'before the service starts',
  'src/config/secret-files.ts': 'before the service starts',
  'src/engine/local/libllama.ts': 'in child processes',
  'src/engine/local/quantize-worker.ts': 'in a child process',
  'src/engine/local/spawn-confined.ts': 'once for each folder',
  'src/http/log-stream.ts': 'what the standard output is, once',
  'src/instances/instances.ts': 'the system tells it, no disk',
  'src/main.ts': 'before the service starts',
  'src/metrics/process-metrics.ts': 'the system tells it, no disk',
  'src/storage/look-at-database.ts': 'a command of an admin, in a process of its own',
  'src/storage/make-folder.ts': 'before the database is opened',
  'src/storage/sqlite.ts': 'before the database is opened',
}

test('nothing waits for a disk with the whole process but what is known to', async () => {
  const found: string[] = []
  const call =
    /\b(?:open|close|read|write|append|access|exists|stat|fstat|lstat|statfs|mkdir|rm|unlink|readdir|realpath|readlink|rename|copy|fsync|fdatasync|exec|spawn)\w*Sync\(/
  for await (const path of glob('src/**/*.ts')) if (call.test(await readFile(path, 'utf8'))) found.push(path)
  expect(found.sort()).toEqual(Object.keys(waitingAllowed).sort())
})
