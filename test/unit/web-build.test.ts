import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Run } from '../../src/models/package-download.ts'
import { ensureBuiltPages } from '../../src/web-client/build.ts'
import { openFolder } from '../temp-folder.ts'

let folder: Awaited<ReturnType<typeof openFolder>>
const at = (...path: string[]) => join(folder.path, ...path)
beforeEach(async () => {
  folder = await openFolder()
  await mkdir(at('web'))
  await mkdir(at('src'))
  await writeFile(at('web', 'main.ts'), 'first')
  await writeFile(at('src', 'client.ts'), 'listed')
})
afterEach(() => folder[Symbol.asyncDispose]())

let builds = 0
/** Builds as Vite would: into the folder that it is told, with a list of what it has read besides. */
const build: Run = async (_command, args) => {
  builds += 1
  const beside = args[args.indexOf('--outDir') + 1] ?? ''
  await mkdir(beside, { recursive: true })
  await writeFile(join(beside, 'index.html'), `${await readFile(at('web', 'main.ts'), 'utf8')} pages`)
  await writeFile(join(beside, '.sources.json'), '["src/client.ts"]')
  return { code: 0, output: '' }
}

/** How often it was built, and whether that was told before. */
async function ensure(run = build): Promise<string> {
  let told = 0
  builds = 0
  const onBuild = () => {
    told += builds === 0 ? 1 : 0
  }
  await ensureBuiltPages(run, onBuild, folder.path)
  return `${builds} built, ${told} told`
}
const page = () => readFile(at('dist', 'web', 'index.html'), 'utf8')

test('pages are built where there are none, and then when something has changed of which they are made', async () => {
  expect([await ensure(), await page()]).toEqual(['1 built, 1 told', 'first pages'])
  expect(await ensure()).toBe('0 built, 0 told')
  await writeFile(at('web', 'main.ts'), 'second')
  expect([await ensure(), await page()]).toEqual(['1 built, 1 told', 'second pages'])
  await writeFile(at('src', 'client.ts'), 'listed, and other')
  expect([await ensure(), await ensure()]).toEqual(['1 built, 1 told', '0 built, 0 told'])
  await rm(at('src', 'client.ts'))
  expect([await ensure(), await ensure()]).toEqual(['1 built, 1 told', '0 built, 0 told'])
  await writeFile(at('web', 'more.css'), '')
  expect(await ensure()).toBe('1 built, 1 told')
})

test('pages whose list of sources is lost are built anew', async () => {
  await ensure()
  await rm(at('dist', 'web', '.sources.json'))
  expect(await ensure()).toBe('1 built, 1 told')
})

test('pages that cannot be built are told with what the build said, and the old ones stay', async () => {
  await ensure()
  await writeFile(at('web', 'main.ts'), 'broken')
  const failing = ensure(async () => ({ code: 1, output: 'Unexpected end of file' }))
  await expect(failing).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('Unexpected end of file') })
  expect([await page(), await readdir(at('dist'))]).toEqual(['first pages', ['web']])
})
