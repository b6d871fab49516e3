import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createPasswords, type DeriveKey } from '../../src/auth/passwords.ts'
import { AppError } from '../../src/errors.ts'
import { cheapPasswords } from '../fakes-storage.ts'

/** Counts what is computed, and computes only when told to. */
function heldDerivation() {
  const calls: Array<{ memoryKib: number; passes: number; finish: () => void }> = []
  const deriveKey: DeriveKey = (text, _salt, { memoryKib, passes }) => {
    const { promise, resolve } = Promise.withResolvers<Buffer>()
    calls.push({ memoryKib, passes, finish: () => resolve(Buffer.alloc(32, text)) })
    return promise
  }
  return { calls, deriveKey }
}

describe('a password', () => {
  test('is kept as argon2id with the parameters of OWASP, and checked', async () => {
    const passwords = createPasswords()
    const hash = await passwords.hash('contraseña')
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
    expect(await passwords.verify('contraseña', hash)).toBe(true)
    expect(await passwords.verify('contrasena', hash)).toBe(false)
  })

  test('has another hash each time', async () => {
    const passwords = cheapPasswords()
    expect(await passwords.hash('the same')).not.toBe(await passwords.hash('the same'))
  })

  test('is the same however the keyboard composes its letters', async () => {
    const passwords = cheapPasswords()
    expect(await passwords.verify('man\u0303ana 8', await passwords.hash('ma\u00f1ana 8'))).toBe(true)
  })

  test('is checked with the parameters it was hashed with, not with those of today', async () => {
    const old = await cheapPasswords().hash('a password')
    const today = createPasswords({ parameters: { memoryKib: 16, passes: 2, parallelism: 1 } })
    expect(await today.verify('a password', old)).toBe(true)
  })
})

describe('checking an unknown user, or one whose hash is broken', () => {
  test.each([undefined, '', '$argon2id$v=19$nonsense', '$2b$10$abcdefghijklmnopqrstuv'])(
    'does the same work for %j and says no',
    async (hash) => {
      const { calls, deriveKey } = heldDerivation()
      const passwords = createPasswords({ deriveKey })
      const verdict = passwords.verify('anything', hash)
      await setImmediate()
      expect(calls).toMatchObject([{ memoryKib: 19_456, passes: 2 }])
      calls[0]?.finish()
      expect(await verdict).toBe(false)
    },
  )
})

describe('many at once', () => {
  test('compute two at a time, so that 50 logins do not take a gigabyte', async () => {
    const { calls, deriveKey } = heldDerivation()
    const passwords = createPasswords({ deriveKey, maxConcurrent: 2 })
    const hashes = Promise.all(Array.from({ length: 50 }, (_, index) => passwords.hash(`password ${index}`)))
    for (let finished = 0; finished < 50; finished++) {
      await setImmediate()
      expect(calls.length - finished).toBeLessThanOrEqual(2)
      calls[finished]?.finish()
    }
    expect(new Set(await hashes).size).toBe(50)
  })

  test('past the limit are told that the service is busy, and a failure frees its place', async () => {
    const { calls, deriveKey } = heldDerivation()
    let broken = true
    const passwords = createPasswords({
      deriveKey: (...given) => (broken ? Promise.reject(new Error('out of memory')) : deriveKey(...given)),
      maxConcurrent: 1,
      maxWaiting: 1,
    })
    await expect(passwords.hash('one')).rejects.toThrow('out of memory')
    broken = false
    const [first, second] = [passwords.hash('one'), passwords.hash('two')]
    const refused = await passwords.hash('three').catch((error: unknown) => error)
    expect(refused instanceof AppError && refused.code).toBe('busy')
    calls[0]?.finish()
    await first
    await setImmediate()
    calls[1]?.finish()
    await second
  })
})
