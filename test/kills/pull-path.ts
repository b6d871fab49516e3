import { deepEqual, equal } from 'node:assert/strict'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createPull } from '../../src/models/pull.ts'
import { createModelRegistry } from '../../src/models/registry.ts'
import { removeModel } from '../../src/models/remove-model.ts'
import { removeUnfinished } from '../../src/models/unfinished.ts'
import { hashFile } from '../../src/models/verified-file.ts'
import { openEgress } from '../open-egress.ts'
import type { SavePath } from './save-paths.ts'

const never = new AbortController().signal

export const pullLimits = { segmentBytes: 8 * 1024, parallel: 4, stallMs: 20_000 }

export type Pulled = Readonly<{ endpoint: string; name: string; sha256: string }>

/** A model that is pulled, looked at and removed, again and again. */
export async function openPullPath(folder: string, { endpoint, name, sha256 }: Pulled): Promise<SavePath> {
  const modelsDir = join(folder, 'pulled')
  await mkdir(modelsDir, { recursive: true })
  // As a start of the service does.
  await removeUnfinished(modelsDir, { isStart: true })
  const registry = createModelRegistry(modelsDir)
  const pull = createPull({
    ...{ egress: openEgress().egress, modelsDir, endpoint, token: undefined, localOnly: false, limits: pullLimits },
    ...{ freeBytes: async () => 1e12, memoryBudget: () => 1e12, now: Date.now, wait: (ms: number) => wait(ms) },
  })
  const checkListed = async () => {
    for (const listed of await registry.list()) equal(await hashFile((await registry.find(listed)).path), sha256)
  }
  const pullWhole = async () => {
    for await (const _event of pull(name, never));
    equal((await registry.list()).length, 1)
    await checkListed()
  }

  return {
    name: 'pull',
    check: checkListed,
    async save() {
      await pullWhole()
      for (const listed of await registry.list())
        await removeModel({ modelsDir, describe: registry.describe, isInUse: () => false, now: Date.now, wait }, listed)
      deepEqual(await readdir(modelsDir), [])
    },
    async settle() {
      await pullWhole()
      const [file] = await registry.list()
      deepEqual((await readdir(modelsDir)).sort(), [`${file}.gguf`, `${file}.gguf.sha256`])
    },
  }
}
