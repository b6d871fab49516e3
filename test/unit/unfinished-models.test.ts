import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createModelRegistry } from '../../src/models/registry.ts'
import { removeModel } from '../../src/models/remove-model.ts'
import { removeUnfinished } from '../../src/models/unfinished.ts'
import { endedPid } from '../ended-process.ts'
import { failAt, full } from '../failing-disk.ts'

async function openModels() {
  const modelsDir = await mkdtemp(join(tmpdir(), 'simpleia-models-'))
  onTestFinished(() => rm(modelsDir, { recursive: true }))
  return { modelsDir, files: async () => (await readdir(modelsDir, { recursive: true })).sort() }
}

test('a start removes what ended processes left of models, and nothing of one that runs or of another machine', async () => {
  const { modelsDir, files } = await openModels()
  const host = hostname().replace(/[^A-Za-z0-9_-]/g, '_')
  const ended = `${endedPid()}@${host}`
  const living = `${process.ppid}@${host}`
  await mkdir(join(modelsDir, 'folder', `.removed-${ended}.1`), { recursive: true })
  const kept = [`a.gguf.quantize-${living}.part`, 'a.gguf.part', `c.gguf.merge-7@elsewhere.part`]
  const left = [`b.gguf.quantize-${ended}.part`, `folder/d.gguf.merge-${ended}.part.part`, `e.gguf.sha256.${ended}.part`]
  const old = 'f.gguf.adapter-7@elsewhere.part'
  for (const name of [...kept, ...left, old, `folder/.removed-${ended}.1/0`]) await writeFile(join(modelsDir, name), 'GG')
  await writeFile(join(modelsDir, 'g.gguf.lock'), `${endedPid()} id ${hostname()}`)
  const longAgo = new Date(Date.now() - 25 * 3600_000)
  await utimes(join(modelsDir, old), longAgo, longAgo)
  await removeUnfinished(modelsDir, { isStart: true })
  expect(await files()).toEqual([...kept, 'folder'].sort())
})

test('a model can be removed to make room, where there is none for anything', async () => {
  const { modelsDir, files } = await openModels()
  const names = ['one-00001-of-00002.gguf', 'one-00002-of-00002.gguf']
  for (const name of names) await writeFile(join(modelsDir, name), 'GGUF')
  const { describe } = createModelRegistry(modelsDir)
  const options = { modelsDir, describe, isInUse: () => false, now: Date.now, wait: async () => {} }
  const { isMet, error } = await failAt({ folder: modelsDir, at: 1, fault: full }, () =>
    removeModel(options, 'one-00001-of-00002'),
  )
  expect({ isMet, error }).toEqual({ isMet: true, error: undefined })
  expect(await files()).toEqual([])
})
