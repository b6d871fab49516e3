/** A text that people read, in each language that simpleIA speaks. */
export type Text = Readonly<{ en: string; es: string }>
export type Language = keyof Text

/** One kind of value that a setting can hold: what it looks like, and how it is read from text. */
export type Kind<T> = Readonly<{
  expected: Text
  /** Undefined when the text is no such value. */
  parse(raw: string): T | undefined
}>

export function text({ pattern, expected }: { pattern?: RegExp; expected?: Text } = {}): Kind<string> {
  return {
    expected: expected ?? { en: 'a text', es: 'un texto' },
    parse: (raw) => (pattern === undefined || pattern.test(raw) ? raw : undefined),
  }
}

type Range = Readonly<{ minimum: number; maximum: number }>

export function integer({ minimum, maximum }: Range): Kind<number> {
  return {
    expected: { en: `a whole number from ${minimum} to ${maximum}`, es: `un número entero de ${minimum} a ${maximum}` },
    parse: (raw) => inRange(/^-?\d+$/.test(raw) ? Number(raw) : Number.NaN, { minimum, maximum }),
  }
}

export function decimal({ minimum, maximum }: Range): Kind<number> {
  return {
    expected: { en: `a number from ${minimum} to ${maximum}`, es: `un número de ${minimum} a ${maximum}` },
    parse: (raw) => inRange(/^\d*\.?\d+(e-?\d+)?$/i.test(raw) ? Number(raw) : Number.NaN, { minimum, maximum }),
  }
}

function inRange(value: number, { minimum, maximum }: Range): number | undefined {
  return value >= minimum && value <= maximum ? value : undefined
}

export const yesOrNo: Kind<boolean> = {
  expected: { en: 'true or false', es: 'true o false' },
  parse(raw) {
    if (/^(true|1|yes|on)$/i.test(raw)) return true
    return /^(false|0|no|off)$/i.test(raw) ? false : undefined
  },
}

export function oneOf<const T extends string>(...choices: readonly T[]): Kind<T> {
  return {
    expected: { en: `one of ${choices.join(', ')}`, es: `uno de ${choices.join(', ')}` },
    parse: (raw) => choices.find((choice) => choice === raw.toLowerCase()),
  }
}

/** Items parted by commas; every one must pass the test. */
export function listOf(expected: Text, isItem: (item: string) => boolean): Kind<readonly string[]> {
  return {
    expected,
    parse(raw) {
      const items = raw
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '')
      return items.every(isItem) ? Object.freeze(items) : undefined
    },
  }
}

/** `name=value` pairs parted by commas, as a map; both sides must match the pattern. */
export function pairsOf(expected: Text, pattern: RegExp): Kind<ReadonlyMap<string, string>> {
  return {
    expected,
    parse(raw) {
      const items = raw.split(',').filter((item) => item.trim() !== '')
      const pairs = items.map((item) => item.split('=').map((side) => side.trim()))
      if (!pairs.every((sides) => sides.length === 2 && sides.every((side) => pattern.test(side)))) return undefined
      return new Map(pairs.map(([name = '', value = '']) => [name, value]))
    },
  }
}

export function url(...protocols: readonly string[]): Kind<string> {
  const shown = protocols.map((protocol) => `${protocol}://…`).join(', ')
  return {
    expected: { en: `an address such as ${shown}`, es: `una dirección como ${shown}` },
    parse: (raw) =>
      URL.canParse(raw) && protocols.includes(new URL(raw).protocol.slice(0, -1)) ? raw.replace(/\/+$/, '') : undefined,
  }
}

const bytesIn: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 }

/** A number of bytes, such as `1048576`, `512M` or `8GB` (in steps of 1024). */
export const byteSize: Kind<number> = {
  expected: { en: 'a size such as 1048576, 512M or 8G', es: 'un tamaño como 1048576, 512M u 8G' },
  parse(raw) {
    const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?$/i.exec(raw) ?? []
    const factor = bytesIn[unit.toUpperCase()]
    return amount === undefined || factor === undefined ? undefined : Math.round(Number(amount) * factor)
  },
}

const secondsIn: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 }

/** A span in seconds, such as `300`, `5m` or `1h`; `-1` or `forever` is without end (Infinity). */
export const duration: Kind<number> = {
  expected: { en: 'a span such as 300, 5m or 1h, or forever', es: 'un plazo como 300, 5m o 1h, o forever' },
  parse(raw) {
    if (/^(-1|forever)$/i.test(raw)) return Number.POSITIVE_INFINITY
    const [, amount, unit = ''] = /^(\d+)([smhd]?)$/i.exec(raw) ?? []
    const factor = secondsIn[unit.toLowerCase()]
    return amount === undefined || factor === undefined ? undefined : Number(amount) * factor
  },
}

/** A time of a second to a year. */
export const seconds = integer({ minimum: 1, maximum: 31_536_000 })
