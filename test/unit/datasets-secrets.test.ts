import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hasIbanDigits, hasLuhnDigit, holdsCard, holdsIban } from '../../src/datasets/read/secret-numbers.ts'
import { entropyOf, findSecrets } from '../../src/datasets/read/secrets.ts'

// In pieces, so that whoever looks for keys in this repository finds none.
const joined = (...parts: readonly string[]) => parts.join('')
const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'

describe('a secret is found:', () => {
  test.each([
    ['secret:api-key', joined('sk-', 'proj-Ab3dEf6hIj9kLmN0pQrStUvWx')],
    ['secret:api-key', joined('sk-ant-', 'api03-Ab3dEf6hIj9kLmN0pQrStUvWx')],
    ['secret:api-key', joined('ghp', '_', letters.slice(0, 36))],
    ['secret:api-key', joined('github', '_pat_', letters.slice(10, 40))],
    ['secret:api-key', joined('glpat', '-', letters.slice(0, 20))],
    ['secret:api-key', joined('xoxb', '-123456789012-abcdef')],
    ['secret:api-key', joined('AIza', letters.slice(0, 35))],
    ['secret:api-key', joined('AKIA', 'ABCDEFGHIJKLMNOP')],
    ['secret:api-key', joined('hf', '_', letters.slice(0, 34))],
    ['secret:api-key', joined('sk', '_live_', letters.slice(0, 24))],
    ['secret:private-key', joined('-----BEGIN ', 'RSA PRIVATE KEY-----\nMIIE')],
    ['secret:private-key', joined('-----BEGIN ', 'PRIVATE KEY-----')],
    ['secret:token', joined('ey', 'JhbGciOiJIUzI1NiJ9.', 'ey', 'JzdWIiOiIxMjM0NTY3ODkwIn0.', 'dozjgNryP4J3jVmNHl0w5N')],
    ['secret:token', 'password = "xK9#mQ2vL7pR4tZ8wN3b"'.replace('#', '')],
    ['secret:token', joined('secret=', 'k7dq3vz9x2mwp5rt8ylc')],
    ['secret:token', joined('token: ', 'aB3.dE5_fG7/hI9.jK1mN')],
    ['secret:token', 'Use Zk3Jq9XvB7mTnL2wRp8sYd4F as the value.'],
    ['secret:email', 'Write to ana.perez+x@correo.empresa.es, please.'],
    ['secret:card', 'Card 4111 1111 1111 1111, until 12/29'],
    ['secret:card', '378282246310005'],
    ['secret:card', 'pay with 5555-5555-5555-4444 2027'],
    ['secret:iban', 'Mi cuenta es ES91 2100 0418 4502 0005 1332, gracias'],
    ['secret:iban', 'DE89370400440532013000'],
  ])('%s in %j', (flag, text) => {
    expect(findSecrets(text)).toContain(flag)
    expect(findSecrets(`Before\n${text}\nbehind`)).toContain(flag)
  })
})

test.each([
  'sk-loading-indicator-with-long-name',
  'The commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 fixed it.',
  'id: 123e4567-e89b-12d3-a456-426614174000',
  'password: correct horse battery staple',
  'Your password must have 12 characters; the token: see above.',
  'getUserAccountDetailsByIdentifierAsync2',
  'Write to somebody@example.com or root@localhost.',
  '@ana said hello @ noon',
  'Call +34 600 123 456, room 1234 5678 9012',
  '4111 1111 1111 1112',
  '0000 0000 0000 0000',
  '3.14159265358979323846264338327950288',
  '12345678901234567890123456789',
  'ES91 2100 0418 4502 0005 1333',
  'UNIX 1234 ABCD 5678 EFGH',
  'ISBN 978-0-306-40615-7 (1998), ISBN 84-376-0494-X, ISSN 2049-3630',
  '4006381333931 4006381333932 4006381333933 4006381333934 4006381333935 4006381333936 4006381333937 4006381333938 4006381333939',
  'From 2024-01-15 12:30:45 to 2024-01-16T12:30:45.123Z, 1764432000000 ms',
  '"integrity": "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="',
  '![dot](data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==)',
  'git clone git@github.com:simple/ia.git; npm install react@18.2.0 typescript@next @angular/core@17.0.1; icon@2x.png',
  'password = process.env.DB_PASSWORD_2',
  'const token = tokenizer.apply_chat_template2(messages)',
  'secret: kubernetes.io/service-account-token.v1',
  'auth = HTTPBasicAuth2Provider.create()',
  'pip install sk-learn-contrib-imbalanced-learn-0',
  'Am 12. und 13. Mai: Donaudampfschifffahrtsgesellschaftskapitän',
])('nothing is found in %j', (text) => {
  expect(findSecrets(text)).toEqual([])
})

test('nothing is found in random prose', () => {
  const word = fc.oneof(
    {
      weight: 9,
      arbitrary: fc.string({ unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyzñé'), minLength: 1, maxLength: 14 }),
    },
    { weight: 1, arbitrary: fc.nat(99_999).map(String) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('API', 'NASA', 'IBAN', 'el token:', 'the password is', 'Secret', '@', 'sk', '-', '—'),
    },
  )
  const mark = fc.constantFrom(' ', ' ', ' ', ', ', '. ', '\n', ': ', '? ')
  const prose = fc.array(fc.tuple(word, mark), { maxLength: 200 }).map((parts) => parts.flat().join(''))
  fc.assert(
    fc.property(prose, (text) => {
      expect(findSecrets(text)).toEqual([])
    }),
    { numRuns: 300 },
  )
})

const digits = (count: number) => fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: count, maxLength: count })

test('one check digit of ten fits, and one changed digit makes it wrong (Luhn)', () => {
  fc.assert(
    fc.property(digits(15), fc.nat(15), fc.integer({ min: 1, max: 9 }), (body, place, change) => {
      const fitting = Array.from('0123456789').filter((digit) => hasLuhnDigit(body + digit))
      expect(fitting).toHaveLength(1)
      const whole = [...body, fitting[0] ?? '']
      const changed = whole.with(place, String((Number(whole[place]) + change) % 10)).join('')
      expect(hasLuhnDigit(changed)).toBe(false)
    }),
  )
})

test('a card is found however it is grouped, and not inside of a longer number', () => {
  fc.assert(
    fc.property(digits(14), fc.constantFrom('', ' ', '-'), (body, separator) => {
      const card = Array.from('0123456789')
        .map((digit) => `4${body}${digit}`)
        .find(hasLuhnDigit)
      const grouped = card?.replace(/(\d{4})(?=\d)/g, `$1${separator}`) ?? ''
      expect(holdsCard(`the card ${grouped}.`)).toBe(true)
      expect(holdsCard(`the number 777777777${card}`)).toBe(false)
    }),
  )
})

test('an IBAN with its check digits is found, and with others it is not', () => {
  fc.assert(
    fc.property(digits(20), fc.integer({ min: 1, max: 96 }), (account, change) => {
      const checked = Array.from({ length: 97 }, (_, index) => String(index + 2).padStart(2, '0')).filter((check) =>
        hasIbanDigits(`ES${check}${account}`),
      )
      expect(checked).toHaveLength(1)
      const [check = ''] = checked
      expect(holdsIban(`a ES${check}${account.replace(/(.{4})/g, ' $1')} b`)).toBe(true)
      const wrong = String(((Number(check) - 2 + change) % 97) + 2).padStart(2, '0')
      expect(holdsIban(`ES${wrong}${account}`)).toBe(false)
    }),
  )
})

test('long texts take no longer than their length', () => {
  for (const piece of ['a.', '1 ', 'A1', 'sk-', '@a', 'token: ', 'ES12 ', '-----BEGIN A '])
    expect(findSecrets(piece.repeat(100_000))).toEqual(expect.any(Array))
}, 3_000)

test('entropy is that of Shannon', () => {
  expect([entropyOf('aaaa'), entropyOf('abab'), entropyOf('abcd')]).toEqual([0, 1, 2])
})
