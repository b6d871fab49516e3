import { readFile } from 'node:fs/promises'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Price } from '../engine/cloud/egress.ts'
import { AppError } from '../errors.ts'

const price = Type.Object(
  {
    input: Type.Number({ minimum: 0 }),
    output: Type.Number({ minimum: 0 }),
    /** Of prompt tokens that were cached at the provider; without it they cost as much as others. */
    cached_input: Type.Optional(Type.Number({ minimum: 0 })),
  },
  { additionalProperties: false },
)
const priceFile = Type.Object(
  { as_of: Type.String({ maxLength: 200 }), dollars_per_million_tokens: Type.Record(Type.String(), Type.Unknown()) },
  { additionalProperties: false },
)

const fileShape = '{"as_of": "…", "dollars_per_million_tokens": {"MODEL": {"input": 1, "output": 2, "cached_input": 0.1}}}'
const entryShape = '{"input": 1, "output": 2, "cached_input": 0.1}, numbers from 0 on, of which the last may be missing'

/** What the models of the clouds cost, as somebody wrote it down. */
export interface Prices {
  /**
   * The price of the longest name in the file that the model's name is or begins with, where the name ends there or goes on with `-`, `:`
   * or `@`, as dated versions do. Undefined where there is none.
   */
  priceOf(model: string): Price | undefined
  /** Reads the file again, and gives what makes its prices count. Throws `invalid` with the entry at fault. */
  prepare(): Promise<() => void>
}

/** Reads the file; where there is none, no price is known. Throws `invalid` with the entry at fault. */
export async function openPrices(path: string): Promise<Prices> {
  let prices = await readPrices(path)
  return {
    priceOf: (model) => findPrice(prices, model),
    async prepare() {
      const next = await readPrices(path)
      return () => {
        prices = next
      }
    },
  }
}

type PriceTable = ReadonlyMap<string, Price>

function findPrice(prices: PriceTable, model: string): Price | undefined {
  let best: string | undefined
  for (const name of prices.keys()) if (covers(name, model) && name.length > (best?.length ?? 0)) best = name
  return best === undefined ? undefined : prices.get(best)
}

function covers(name: string, model: string): boolean {
  return model.startsWith(name) && ['', '-', ':', '@'].includes(model.slice(name.length, name.length + 1))
}

async function readPrices(path: string): Promise<PriceTable> {
  const content = await readContent(path)
  if (content === undefined) return new Map()
  if (!Value.Check(priceFile, content)) throw new AppError('invalid', `${path} must hold ${fileShape}, but holds something else.`)
  return new Map(
    Object.entries(content.dollars_per_million_tokens).map(([name, entry]) => {
      if (name === '') throw new AppError('invalid', `${path} has a price for a model without a name. Give it one, or remove it.`)
      if (!Value.Check(price, entry))
        throw new AppError('invalid', `${path}: "${name}" must be ${entryShape}; it is ${JSON.stringify(entry).slice(0, 200)}.`)
      return [name, toPrice(entry)]
    }),
  )
}

function toPrice({ input, output, cached_input: cachedInput }: Static<typeof price>): Price {
  return { input, output, cachedInput }
}

async function readContent(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw new AppError('invalid', `${path} cannot be read. Check its owner and permissions.`, { cause })
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new AppError('invalid', `${path} must hold ${fileShape}, but is not JSON.`, { cause })
  }
}
