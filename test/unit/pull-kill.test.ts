import { spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { createModelRegistry } from '../../src/models/registry.ts'
import { startHub } from '../hub.ts'

const repository = 'owner/repo'
const file = 'model-Q4_K_M.gguf'
const content = randomBytes(12 * 1024 ** 2)
const segmentBytes = 64 * 1024
const parallel = 4

const kills = 10

/** Starts a pull in a process of its own; it is killed when the hub has sent so many bytes more. */
async function runUntil(hub: Awaited<ReturnType<typeof startHub>>, modelsDir: string, bytes: number) {
  const start = hub.sentBytes()
  const child = spawn(
    process.execPath,
    ['test/unit/pull-process.ts', hub.endpoint, modelsDir, repository, String(segmentBytes)],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once('exit', (_code, signal) => resolve(signal)))
  hub.onBytes(() => {
    if (hub.sentBytes() - start >= bytes) child.kill('SIGKILL')
  })
  const [signal, said, complaint] = await Promise.all([ended, text(child.stdout), text(child.stderr)])
  return { signal, said, complaint }
}

test('a pull that is killed at ten moments goes on each time, and fetches nothing twice but what was on its way', async () => {
  const hub = await startHub({ repositories: { [repository]: { [file]: content } } })
  const modelsDir = await mkdtemp(join(tmpdir(), 'simpleia-kill-'))
  const { list } = createModelRegistry(modelsDir)
  for (let kill = 0; kill < kills; kill += 1) {
    const moment = randomInt(1, Math.floor(content.length / kills))
    expect(await runUntil(hub, modelsDir, moment)).toMatchObject({ signal: 'SIGKILL', said: '', complaint: '' })
    expect(await list()).toEqual([])
  }
  expect(await runUntil(hub, modelsDir, Number.POSITIVE_INFINITY)).toEqual({ signal: null, said: 'ready', complaint: '' })
  expect((await readFile(join(modelsDir, file))).equals(content)).toBe(true)
  expect((await readdir(modelsDir)).sort()).toEqual([file, `${file}.sha256`])
  // What is sent when a process dies may be more than it asked to be kept: the ranges in flight, and what is in the sockets.
  expect(hub.sentBytes()).toBeLessThanOrEqual(content.length + kills * parallel * segmentBytes)
})
