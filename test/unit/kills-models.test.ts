import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { sha256, startHub } from '../hub.ts'
import { killAtRandom, usualKills } from '../kills/kill-at-random.ts'
import { pullLimits } from '../kills/pull-path.ts'

const content = randomBytes(128 * 1024)

test(`kill -9 at ${usualKills} random moments leaves whole models, and a pull goes on where it was`, {
  timeout: 600_000,
}, async () => {
  const hub = await startHub({ repositories: { 'owner/repo': { 'model-Q4_K_M.gguf': content } } })
  const killed = await killAtRandom({
    program: 'models',
    parametersIn: async () => [hub.endpoint, 'owner/repo', sha256(content)],
  })
  expect([...killed.keys()]).toEqual(['pull', 'quantize', 'merge', 'adapter', 'removal'])
  const { saved = 0, cut = 0 } = killed.get('pull') ?? {}
  // What is sent when a process dies may be more than it asked to be kept: the ranges in flight, and what is in the sockets.
  expect(hub.sentBytes()).toBeLessThanOrEqual((saved + 2) * content.length + cut * pullLimits.parallel * pullLimits.segmentBytes)
})
