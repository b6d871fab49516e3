import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { normalizeUsername, usernameKey } from '../../src/auth/username.ts'
import { AppError } from '../../src/errors.ts'

const anyText = fc.string({
  unit: fc.oneof(
    fc.constantFrom('a', 'A', 'ß', 'ẞ', 'ſ', 'İ', 'ı', 'ς', 'Σ', 'ﬁ', 'Ａ', '\u0301', '\u0345', ' ', 'ñ', 'ǆ'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  ),
})

const fold = (text: string) => text.normalize('NFKC').trim().toLowerCase().toUpperCase().toLowerCase().normalize('NFKC')

describe('usernames', () => {
  test('the key of a key is the key', () => {
    fc.assert(
      fc.property(anyText, (text) => usernameKey(usernameKey(text)) === usernameKey(text)),
      { numRuns: 3000 },
    )
  })

  test('two names have one key exactly when they are the same after NFKC and case folding', () => {
    fc.assert(
      fc.property(anyText, anyText, (one, other) => (usernameKey(one) === usernameKey(other)) === (fold(one) === fold(other))),
      { numRuns: 1000 },
    )
    fc.assert(
      fc.property(anyText, (text) => {
        expect(usernameKey(text.normalize('NFKD'))).toBe(usernameKey(text))
        expect(usernameKey(`  ${text}\u3000`)).toBe(usernameKey(text))
      }),
      { numRuns: 1000 },
    )
  })

  test('what is accepted stays as it is when it is given again', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const accepted = tryNormalize(text)
        if (accepted === undefined) return
        expect(normalizeUsername(accepted)).toBe(accepted)
        expect(usernameKey(accepted)).toBe(usernameKey(text))
        expect(accepted).toBe(accepted.trim())
        expect([...accepted].length).toBeGreaterThanOrEqual(3)
        expect([...accepted].length).toBeLessThanOrEqual(64)
        expect(accepted).not.toMatch(/[\p{C}\p{Default_Ignorable_Code_Point}<>&"]/u)
      }),
      { numRuns: 3000 },
    )
  })

  test.each([
    ['Ana', 'ANA'],
    ['ana', '\uff21\uff4e\uff41'],
    ['jose\u0301', 'José'],
    ['straße', 'STRASSE'],
    ['straẞe', 'strasse'],
    ['ΟΔΟΣ', 'οδος'],
    [' ana ', 'ana'],
  ])('%j and %j are the same user', (one, other) => {
    expect(usernameKey(one)).toBe(usernameKey(other))
  })

  test.each(['Ana María', "o'brien", 'ana.perez-2_b@example.org', 'Ñandú', '小林太郎', 'Ольга', 'a\u0301vila', 'x'.repeat(64)])(
    '%j is accepted',
    (name) => {
      expect(normalizeUsername(name)).toBe(name.normalize('NFKC'))
    },
  )

  test.each([
    'ab',
    '   a   ',
    'x'.repeat(65),
    '\ufdfa\ufdfa\ufdfa\ufdfa',
    'ana\u0000',
    'ana\nb',
    'ana\u200bb',
    'ana\u200db',
    'ana\u202eb',
    'ana\u2066b',
    'ana\u00adb',
    'ana\ufe0f',
    'ana\u3164b',
    'ana  b',
    '<img src=x>',
    '\u0430dmin',
    'αdmin',
    'a\u0300\u0316\u0317\u0318bc',
    'ana\ud800',
    '😀😀😀',
  ])('%j is refused, with the field and the reason', (name) => {
    const error = problemOf(name)
    expect(error?.code).toBe('invalid')
    expect(error?.details?.[0]?.field).toBe('username')
  })
})

function problemOf(name: string): AppError | undefined {
  try {
    normalizeUsername(name)
    return undefined
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
}

function tryNormalize(text: string): string | undefined {
  return problemOf(text) === undefined ? normalizeUsername(text) : undefined
}
