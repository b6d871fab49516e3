import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openPrices } from '../../src/egress/prices.ts'

async function priceFile(prices: unknown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-prices-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const path = join(folder, 'prices.json')
  await writeFile(
    path,
    typeof prices === 'string' ? prices : JSON.stringify({ as_of: 'now', dollars_per_million_tokens: prices }),
  )
  return path
}

const cheap = { input: 1, output: 2 }
const dear = { input: 10, output: 20, cached_input: 1 }

test('the longest name that a model begins with gives its price, and only where the name ends', async () => {
  const { priceOf } = await openPrices(await priceFile({ 'm-5': cheap, 'm-5-pro': dear }))
  for (const model of ['m-5', 'm-5-2026-01-01', 'm-5@eu', 'm-5:batch']) expect(priceOf(model), model).toMatchObject(cheap)
  for (const model of ['m-5-pro', 'm-5-pro-2026'])
    expect(priceOf(model), model).toEqual({ input: 10, output: 20, cachedInput: 1 })
  for (const model of ['m-5.1', 'm-50', 'm', 'other', 'xm-5', '']) expect(priceOf(model), model).toBeUndefined()
})

test('without a file no price is known', async () => {
  const { priceOf } = await openPrices('/nowhere/prices.json')
  expect(priceOf('m-5')).toBeUndefined()
})

test.each([
  ['{', 'is not JSON'],
  ['[]', 'must hold'],
  [{ broken: { input: -1, output: 1 } }, '"broken" must be'],
  [{ broken: { input: '1', output: 1 } }, '"broken" must be'],
  [{ broken: { input: 1 } }, '"broken" must be'],
  [{ fine: cheap, broken: { ...cheap, inptu: 1 } }, '"broken" must be'],
  [{ '': cheap }, 'without a name'],
])('%j is refused, and the message says where', async (prices, message) => {
  await expect(openPrices(await priceFile(prices))).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringContaining(message),
  })
})

test('a file that was edited badly leaves the prices as they were', async () => {
  const path = await priceFile({ m: cheap })
  const { priceOf, prepare } = await openPrices(path)
  await writeFile(path, '{"as_of": "now", "dollars_per_million_tokens": {"m": 1}}')
  await expect(prepare()).rejects.toMatchObject({ code: 'invalid' })
  expect(priceOf('m')).toMatchObject(cheap)
  await writeFile(path, JSON.stringify({ as_of: 'now', dollars_per_million_tokens: { m: dear } }))
  const apply = await prepare()
  expect(priceOf('m')).toMatchObject(cheap)
  apply()
  expect(priceOf('m')).toMatchObject({ input: 10 })
})

test('the prices that come with the program are valid, and say as of when', async () => {
  const { priceOf } = await openPrices('config/prices.json')
  for (const model of ['claude-sonnet-4-5-20250929', 'claude-opus-5-5', 'gpt-5-mini', 'gpt-4o'])
    expect(priceOf(model), model).toBeDefined()
  expect(JSON.parse(await readFile('config/prices.json', 'utf8'))).toMatchObject({ as_of: expect.stringMatching(/20\d\d/) })
})
