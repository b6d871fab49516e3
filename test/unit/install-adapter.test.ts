import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { installAdapter } from '../../src/models/install-adapter.ts'
import { findRecord, hashFile } from '../../src/models/verified-file.ts'

async function createFolders() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-install-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const [modelsDir, adapter] = [join(folder, 'models'), join(folder, 'adapter.gguf')]
  await mkdir(modelsDir)
  await writeFile(adapter, 'GGUF adapter')
  const parts = { modelsDir, now: Date.now, wait: async () => {} }
  return { parts, modelsDir, adapter, target: join(modelsDir, 'polite.gguf') }
}

test('an adapter is installed with its checksum, and stays where it was made', async () => {
  const { parts, modelsDir, adapter, target } = await createFolders()
  await installAdapter(parts, adapter, 'polite')
  expect(await readFile(target, 'utf8')).toBe('GGUF adapter')
  expect((await findRecord(target))?.sha256).toBe(await hashFile(adapter))
  expect((await readdir(modelsDir)).sort()).toEqual(['polite.gguf', 'polite.gguf.sha256'])
  expect(await readFile(adapter, 'utf8')).toBe('GGUF adapter')
})

test('an adapter that was installed when the service ended suddenly is installed', async () => {
  const { parts, adapter, target } = await createFolders()
  await writeFile(target, 'GGUF adapter')
  await installAdapter(parts, adapter, 'polite')
  expect((await findRecord(target))?.sha256).toBe(await hashFile(adapter))
})

test('a model of the same name stays as it is, and so does what is being downloaded beside it', async () => {
  const { parts, adapter, target } = await createFolders()
  await writeFile(`${target}.part`, 'half of a model')
  await installAdapter(parts, adapter, 'polite')
  expect(await readFile(`${target}.part`, 'utf8')).toBe('half of a model')
  await writeFile(target, 'GGUF another')
  await expect(installAdapter(parts, adapter, 'polite')).rejects.toMatchObject({ code: 'conflict' })
  expect(await readFile(target, 'utf8')).toBe('GGUF another')
})

test('what cannot be recorded is not installed', async () => {
  const { parts, modelsDir, adapter, target } = await createFolders()
  // No file can have its place.
  await mkdir(`${target}.sha256`)
  await expect(installAdapter(parts, adapter, 'polite')).rejects.toThrow()
  expect(await readdir(modelsDir)).toEqual(['polite.gguf.sha256'])
})
