import { chmodSync, linkSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openSecretKey } from '../../src/auth/secret-key.ts'
import { endedPid } from '../ended-process.ts'
import { failureOf } from '../failure-of.ts'

let dataDir: string

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'simpleia-key-'))
})
afterEach(() => rm(dataDir, { recursive: true }))

const good = 'kV0c7v0nqk2mN4r8sT1wYzB6dF3hJ5lP'
const open = (configured: string | undefined, environment: 'development' | 'production' = 'development', folder = dataDir) =>
  openSecretKey({ configured, dataDir: folder, environment })

describe('the secret key', () => {
  test('in development is made once, kept with mode 0600, and the same after a restart', async () => {
    const folder = join(dataDir, 'new', 'data')
    const first = await open(undefined, 'development', folder)
    const again = await open('', 'development', folder)
    expect(first.export().length).toBeGreaterThanOrEqual(32)
    expect(again.equals(first)).toBe(true)
    expect(readdirSync(folder)).toEqual(['secret-key'])
    expect(statSync(join(folder, 'secret-key')).mode & 0o777).toBe(0o600)
  })

  test('is another one in each installation', async () => {
    const [one, other] = [await open(undefined), await open(undefined, 'development', join(dataDir, 'other'))]
    expect(one.equals(other)).toBe(false)
  })

  test('is one when many processes start at the same time', async () => {
    const keys = await Promise.all(Array.from({ length: 10 }, () => open(undefined)))
    expect(keys.every((key) => key.equals(keys[0] ?? key))).toBe(true)
    expect(readdirSync(dataDir)).toEqual(['secret-key'])
  })

  test('kept in a file that others could read is closed to them again', async () => {
    await open(undefined)
    chmodSync(join(dataDir, 'secret-key'), 0o644)
    await open(undefined)
    expect(statSync(join(dataDir, 'secret-key')).mode & 0o777).toBe(0o600)
  })

  test('has no second name any more once a start that was killed is followed by another one', async () => {
    const first = await open(undefined)
    const left = `secret-key.${endedPid()}.0ce1b0a4-0000-4000-8000-000000000000.part`
    linkSync(join(dataDir, 'secret-key'), join(dataDir, left))
    expect((await open(undefined)).equals(first)).toBe(true)
    expect(readdirSync(dataDir)).toEqual(['secret-key'])
  })

  test('in production must be given', async () => {
    const error = await failureOf(open(undefined, 'production'))
    expect(error.code).toBe('invalid')
    expect(error.message).toContain('SECRET_KEY')
    expect(readdirSync(dataDir)).toEqual([])
  })

  test('that is long and random is taken, and kept nowhere', async () => {
    expect((await open(good, 'production')).export().toString()).toBe(good)
    expect(readdirSync(dataDir)).toEqual([])
  })

  test.each([
    'changeme',
    'secret',
    'your-secret-key',
    '8 bytes!',
    'x'.repeat(31),
    'x'.repeat(64),
    'change-me-to-something-long-and-random-0123456789',
    'CHANGE_THIS_TO_A_LONG_RANDOM_STRING_PLEASE',
    'your-secret-key-here-your-secret-key-here',
    'a-string-secret-at-least-256-bits-long',
    '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7',
    'please-replace-with-openssl-rand-hex-32-output',
  ])('%j is refused in development too, and not repeated in the message', async (guessable) => {
    for (const environment of ['development', 'production'] as const) {
      const error = await failureOf(open(guessable, environment))
      expect(error.code).toBe('invalid')
      if (guessable.length > 8) expect(error.message).not.toContain(guessable)
    }
  })

  test('cut short in its file is refused, and the file is kept', async () => {
    writeFileSync(join(dataDir, 'secret-key'), 'short')
    const error = await failureOf(open(undefined))
    expect(error.code).toBe('invalid')
    expect(error.message).toContain(join(dataDir, 'secret-key'))
    expect(readFileSync(join(dataDir, 'secret-key'), 'utf8')).toBe('short')
  })

  test('that cannot be kept says where', async () => {
    writeFileSync(join(dataDir, 'file'), '')
    const error = await failureOf(open(undefined, 'development', join(dataDir, 'file')))
    expect(error.code).toBe('unavailable')
    expect(error.message).toContain(join(dataDir, 'file', 'secret-key'))
  })

  test('whose place is a link that leads nowhere is kept nowhere', async () => {
    symlinkSync(join(dataDir, 'gone'), join(dataDir, 'secret-key'))
    const error = await failureOf(open(undefined))
    expect([error.code, error.message]).toEqual(['unavailable', expect.stringContaining('(EEXIST)')])
    expect(readdirSync(dataDir)).toEqual(['secret-key'])
  })

  test.runIf(process.platform === 'linux').each(['/proc/simpleia', '/proc/self'])(
    'that cannot be kept where nobody may make a folder or a file says so, and soon: %s',
    async (folder) => {
      const error = await failureOf(open(undefined, 'development', folder))
      expect(error.code).toBe('unavailable')
      expect(error.message).toContain(`${folder}/secret-key (E`)
    },
  )
})
