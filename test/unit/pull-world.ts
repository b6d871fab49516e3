import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { PullEvent } from '../../src/models/download-events.ts'
import { createPull, type PullOptions } from '../../src/models/pull.ts'
import { type HubOptions, startHub } from '../hub.ts'
import { openEgress } from '../open-egress.ts'

export const repository = 'owner/Some-Model-GGUF'
export const file = 'Some-Model-Q4_K_M.gguf'
export const content = randomBytes(300_000)
/** Small ranges, so that a file of little more than nothing has many. */
export const limits = { segmentBytes: 32 * 1024, parallel: 4, stallMs: 20_000 }

export const never = new AbortController().signal

/** A hub with one model (or what `hub` says), an empty models folder, and a pull between them. */
type WorldOptions = Partial<PullOptions> & { hub?: Partial<HubOptions>; fetch?: typeof globalThis.fetch }

export async function createWorld({ hub: changes, fetch, ...options }: WorldOptions = {}) {
  const hub = await startHub({ repositories: { [repository]: { [file]: content } }, ...changes })
  const modelsDir = await mkdtemp(join(tmpdir(), 'simpleia-pull-'))
  const outside = openEgress(fetch === undefined ? {} : { fetch })
  const pull = createPull({
    egress: outside.egress,
    modelsDir,
    endpoint: hub.endpoint,
    token: 'hf_canary',
    localOnly: false,
    freeBytes: async () => 1e12,
    memoryBudget: () => 1e12,
    now: Date.now,
    wait: async () => {},
    limits,
    ...options,
  })
  const events: PullEvent[] = []
  return {
    hub,
    modelsDir,
    outside,
    pull,
    events,
    /** Pulls to the end; gives the last event. */
    async run(name = repository, signal = never): Promise<PullEvent | undefined> {
      for await (const event of pull(name, signal)) events.push(event)
      return events.at(-1)
    },
    types: () => [...new Set(events.map(({ type }) => type))],
    files: async () => (await readdir(modelsDir)).sort(),
    read: (name: string) => readFile(join(modelsDir, name)),
    async expectInstalled(name = file, expected = content) {
      expect((await readFile(join(modelsDir, name))).equals(expected)).toBe(true)
      expect((await readdir(modelsDir)).sort()).toEqual([name, `${name}.sha256`])
    },
    /** Nothing that is, or could be taken for, a model. */
    async expectNothing() {
      expect((await readdir(modelsDir)).filter((name) => name.endsWith('.gguf'))).toEqual([])
    },
  }
}
