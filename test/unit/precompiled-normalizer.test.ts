import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { expect, test } from 'vitest'
import { createPrecompiledNormalizer } from '../../src/engine/local/precompiled-normalizer.ts'

// What the library of the models' own tokenizers makes of texts (precompiled.py).
const Fixture = Type.Object({ charsmap: Type.String(), cases: Type.Array(Type.Tuple([Type.String(), Type.String()])) })
const { charsmap, cases } = Value.Parse(Fixture, JSON.parse(await readFile('test/fixtures/convert/precompiled.json', 'utf8')))

test.each(cases)('%j is normalized to %j', (text, normalized) => {
  expect(createPrecompiledNormalizer(charsmap)(text)).toBe(normalized)
})

test('a damaged table is refused, or gives some text; never an endless loop or a failure of another kind', () => {
  const bytes = Buffer.from(charsmap, 'base64')
  const damage = fc.record({ length: fc.nat(bytes.length), at: fc.nat(bytes.length - 1), value: fc.nat(255) })
  fc.assert(
    fc.property(damage, fc.string({ unit: 'grapheme' }), ({ length, at, value }, text) => {
      const damaged = Buffer.from(bytes.subarray(0, length))
      if (at < length) damaged[at] = value
      try {
        expect(typeof createPrecompiledNormalizer(damaged.toString('base64'))(text)).toBe('string')
      } catch (error) {
        expect(error).toMatchObject({ code: 'invalid' })
      }
    }),
  )
})
