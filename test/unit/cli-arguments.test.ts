import fc from 'fast-check'
import { expect, test } from 'vitest'
import { commands } from '../../src/cli/commands.ts'
import { speak } from '../../src/cli/messages.ts'
import { type Call, readArguments, suggest } from '../../src/cli/read-arguments.ts'

const read = (line: string): Call => readArguments(line.split(' ').filter(Boolean), speak('en'))

test('settings are flags of every command, in either place and either form', () => {
  for (const line of ['api --port 9000 --log-level debug', '--port=9000 api --log-level=debug']) {
    expect(read(line)).toMatchObject({ type: 'run', settings: { PORT: '9000', LOG_LEVEL: 'debug' } })
  }
})

test('a switch stands alone, has a value, or is turned around', () => {
  expect(read('api --local-only')).toMatchObject({ settings: { LOCAL_ONLY: 'true' } })
  expect(read('api --local-only=false')).toMatchObject({ settings: { LOCAL_ONLY: 'false' } })
  expect(read('api --no-allow-registration')).toMatchObject({ settings: { ALLOW_REGISTRATION: 'false' } })
})

test('a negative number is a value, and another flag is none', () => {
  expect(read('api --keep-alive -1')).toMatchObject({ settings: { KEEP_ALIVE: '-1' } })
  expect(read('api --port --local-only')).toMatchObject({
    type: 'mistake',
    message: expect.stringContaining('--port needs a value'),
  })
})

test('an unknown flag or command is refused, with the one that was meant', () => {
  expect(read('api --prot 9000')).toMatchObject({ message: expect.stringContaining('Did you mean --port?') })
  expect(read('docter')).toMatchObject({ message: expect.stringContaining('Did you mean doctor?') })
  expect(read('admin user')).toMatchObject({ message: expect.stringContaining('Did you mean admin users?') })
  expect(read('api --zzzzzzzzzz')).toMatchObject({ message: expect.not.stringContaining('Did you mean') })
  expect(read('api --no-port')).toMatchObject({ type: 'mistake' })
})

test('a flag of another command is refused', () => {
  expect(read('admin feedback --jsonl')).toMatchObject({ type: 'run', flags: new Set(['jsonl']) })
  expect(read('api --jsonl')).toMatchObject({ type: 'mistake', message: expect.stringContaining('--jsonl') })
})

test('a secret is not taken from a flag, which others could read', () => {
  expect(read('api --secret-key canary')).toMatchObject({ type: 'mistake', message: expect.stringContaining('SECRET_KEY') })
  expect(JSON.stringify(read('api --hf-token canary'))).not.toContain('canary')
})

test('words that a command needs are asked for, and words that it does not know are refused', () => {
  expect(read('admin users role ana')).toMatchObject({ message: expect.stringContaining('admin users role USERNAME admin|user') })
  expect(read('admin users role ana admin')).toMatchObject({ type: 'run', words: ['ana', 'admin'] })
  expect(read('api now')).toMatchObject({ type: 'mistake' })
  expect(read('login')).toMatchObject({ type: 'run', words: [] })
})

test('short forms stand for the listing', () => {
  expect(read('admin users')).toEqual(read('admin users list'))
  expect(read('models')).toEqual(read('models list'))
})

test('help is given for the program, a group and a command', () => {
  expect([read(''), read('--help'), read('admin -h')]).toEqual(Array(3).fill({ type: 'help', command: undefined }))
  expect(read('admin users role --help')).toMatchObject({ type: 'help', command: { path: ['admin', 'users', 'role'] } })
})

test('a suggestion is near: one letter in three at most', () => {
  expect(suggest('modles', ['models', 'doctor'])).toBe('models')
  expect(suggest('xyz', ['models', 'doctor'])).toBeUndefined()
})

test('a flag of a command may have a value, and may begin with "no-"', () => {
  const call = read('models quantize big Q8_0 --text a.txt --no-report --name=-odd --port 9000')
  expect(call).toMatchObject({ type: 'run', words: ['big', 'Q8_0'], settings: { PORT: '9000' } })
  expect(call).toMatchObject({ flags: new Set(['text', 'no-report', 'name']) })
  expect(call).toMatchObject({
    values: new Map([
      ['text', 'a.txt'],
      ['name', '-odd'],
    ]),
  })
  for (const line of [
    'models quantize big Q8_0 --text',
    'models quantize big Q8_0 --text --no-report',
    'models quantize big Q8_0 --text=',
  ])
    expect(read(line)).toMatchObject({ type: 'mistake', message: expect.stringContaining('--text needs a value') })
  expect(read('models quantize big Q8_0 --no-report=1')).toMatchObject({ message: expect.stringContaining('takes no value') })
})

test('a switch that is turned around takes no value', () => {
  expect(read('api --no-local-only=true')).toMatchObject({ message: expect.stringContaining('--no-local-only takes no value') })
})

test('a command that reads what follows itself gets it whole, flags of others and help too', () => {
  expect(read('bench --port --no-such thing --help')).toMatchObject({
    ...{ type: 'run', command: { path: ['bench'] }, words: ['--port', '--no-such', 'thing', '--help'], settings: {} },
  })
})

const names = commands.map(({ path }) => path.join(' '))

test('one slip in the name of a command is known for what was meant', () => {
  const slips: Readonly<Record<string, (word: string, at: number) => string>> = {
    left: (word, at) => word.slice(0, at) + word.slice(at + 1),
    more: (word, at) => `${word.slice(0, at)}😀${word.slice(at)}`,
    other: (word, at) => `${word.slice(0, at)}é${word.slice(at + 1)}`,
    swapped: (word, at) => `${word.slice(0, at)}${word.slice(at + 1, at + 2)}${word.slice(at, at + 1)}${word.slice(at + 2)}`,
  }
  // Between two that are alike, the right one need not be the nearest.
  const alone = names.filter((name) => names.every((other) => other === name || suggest(name, [other]) === undefined))
  expect(alone.length).toBeGreaterThan(20)
  fc.assert(
    fc.property(fc.constantFrom(...alone), fc.constantFrom(...Object.values(slips)), fc.nat(), (name, slip, at) => {
      expect(suggest(slip(name, at % name.length), names)).toBe(name)
    }),
  )
})

test.each([
  ['ab', 'ba', true],
  ['abc', 'cab', false],
  ['', 'a', true],
  ['abcdef', 'badcef', true],
  ['abcdef', 'badcfe', false],
  ['kitten', 'sitting', false],
  ['kittens', 'sittins', true],
])('"%s" for "%s" is near enough: %s', (typed, known, isNear) => {
  expect(suggest(typed, [known])).toBe(isNear ? known : undefined)
})
