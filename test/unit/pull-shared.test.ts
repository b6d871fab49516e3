import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { startHub } from '../hub.ts'

const repository = 'owner/repo'
const file = 'model-Q4_K_M.gguf'
const content = randomBytes(12 * 1024 ** 2)
const segmentBytes = 64 * 1024

/** A pull in a process of its own, to its end. */
async function runPull(endpoint: string, modelsDir: string) {
  const parameters = ['test/unit/pull-process.ts', endpoint, modelsDir, repository, String(segmentBytes)]
  const child = spawn(process.execPath, parameters, { stdio: ['ignore', 'pipe', 'pipe'] })
  const [said, complaint] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { said, complaint }
}

test('two processes that pull the same file share one transfer', async () => {
  const hub = await startHub({ repositories: { [repository]: { [file]: content } } })
  const modelsDir = await mkdtemp(join(tmpdir(), 'simpleia-share-'))
  const ends = await Promise.all([1, 2].map(() => runPull(hub.endpoint, modelsDir)))
  expect(ends).toEqual(Array(2).fill({ said: 'ready', complaint: '' }))
  expect((await readFile(join(modelsDir, file))).equals(content)).toBe(true)
  expect(hub.sentBytes()).toBe(content.length)
})
