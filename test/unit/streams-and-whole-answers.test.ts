import { expect, test } from 'vitest'
import { compareWays } from '../stream-corpus.ts'

const cases = 200

test(`${cases} answers are the same bytes whole and streamed, on every way`, { timeout: 60_000 }, async () => {
  expect(await compareWays(cases)).toBeGreaterThan(10 * cases)
})
