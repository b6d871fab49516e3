import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'

const nobody = 65_534
const isRoot = process.getuid?.() === 0
const user = isRoot ? nobody : process.getuid?.()

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simpleia-volume-'))
  await chmod(folder, 0o755)
})
afterEach(async () => {
  for (const name of ['data', 'models']) await chmod(join(folder, name), 0o755).catch(() => {})
  await rm(folder, { recursive: true })
})

/** What the service says when a user who is not root starts it, as in a container. It has to end by itself. */
async function startAsOrdinaryUser(settings: Readonly<Record<string, string>>): Promise<{ code: unknown; said: string }> {
  const env = {
    ...{ PATH: process.env.PATH, HOME: folder, PORT: '0', LANG: 'C' },
    ...{ DATA_DIR: join(folder, 'data'), MODELS_DIR: join(folder, 'models'), CONFIG_FILE: join(folder, 'data', 'config.json') },
    ...settings,
  }
  const asUser = isRoot ? { uid: nobody, gid: nobody } : {}
  return promisify(execFile)(process.execPath, ['src/main.ts', 'api'], { env, ...asUser, timeout: 15_000 }).then(
    () => ({ code: 0, said: '' }),
    (error: { code?: unknown; stderr?: string }) => ({ code: error.code, said: error.stderr ?? '' }),
  )
}

async function volume(name: string, mode: number): Promise<string> {
  const path = join(folder, name)
  await mkdir(path)
  await writeFile(join(path, 'there'), '')
  await chmod(path, mode)
  return path
}

// With a shared database, nothing else would have touched the folder before the first upload.
test.each([
  ['its own database', {}],
  ['a shared database', { DATABASE_URL: 'postgres://simpleia@127.0.0.1:9/simpleia' }],
])('a volume of another user ends a service with %s at once, with path and user', async (_, settings) => {
  const data = await volume('data', 0o555)
  const began = performance.now()
  const { code, said } = await startAsOrdinaryUser(settings)
  expect(said).toContain(`The folder ${data} cannot be written by user id ${user}.`)
  expect(code).toBe(1)
  expect(performance.now() - began).toBeLessThan(5000)
})

test('a folder of models that this user may not read is named, too', async () => {
  await volume('data', 0o777)
  const models = await volume('models', 0o000)
  const { code, said } = await startAsOrdinaryUser({})
  expect(said).toContain(`The folder ${models} cannot be read by user id ${user}.`)
  expect(code).toBe(1)
})
