import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createLoadedModels } from '../../src/models/loaded-models.ts'

async function createFile() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-loaded-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return join(folder, 'loaded-models.json')
}

test('what is in memory is remembered, and read by the next start', async () => {
  const path = await createFile()
  const models = createLoadedModels(path)
  expect(await models.read()).toEqual({ selected: undefined, loaded: [] })
  models.note({ selected: 'a', loaded: ['a'] })
  models.begin()
  models.note({ selected: 'a', loaded: ['b', 'a'] })
  await models.close()
  expect(await createLoadedModels(path).read()).toEqual({ selected: 'a', loaded: ['b', 'a'] })
})

test('a service that ends before its models are back, or while it ends, forgets nothing', async () => {
  const path = await createFile()
  const before = '{"selected":"a","loaded":["a","b"]}'
  await writeFile(path, before)
  const models = createLoadedModels(path)
  models.note({ selected: 'a', loaded: ['a'] })
  await models.close()
  models.begin()
  models.note({ selected: undefined, loaded: [] })
  await models.close()
  expect(await readFile(path, 'utf8')).toBe(before)
})

test.each(['', '[]', '{"loaded":[7]}', '{"selected":"","loaded":[]}'])('a file with %j in it remembers nothing', async (text) => {
  const path = await createFile()
  await writeFile(path, text)
  expect(await createLoadedModels(path).read()).toEqual({ selected: undefined, loaded: [] })
})
