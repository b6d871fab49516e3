/** A small reader of GBNF for tests: it makes random texts of a grammar, and says whether a text belongs to it. */
type Item = { type: 'characters'; ranges: ReadonlyArray<readonly [number, number]> } | { type: 'reference'; name: string }
type Alternatives = ReadonlyArray<readonly Item[]>
export type Gbnf = ReadonlyMap<string, Alternatives>

// llama.cpp refuses more repetitions than this (MAX_REPETITION_THRESHOLD), counted as its parser counts.
const repetitionThreshold = 2000

/** Throws where llama.cpp would refuse the grammar too. */
export function parseGbnf(text: string): Gbnf {
  const rules = new Map<string, Alternatives>()
  let at = 0
  let made = 0
  const skip = () => {
    while (text[at] === ' ') at++
  }
  const fail = (expected: string): never => {
    throw new Error(`Expected ${expected} at ${JSON.stringify(text.slice(at, at + 40))}`)
  }
  const add = (alternatives: Alternatives): Item => {
    const name = `made:${made++}`
    rules.set(name, alternatives)
    return { type: 'reference', name }
  }

  function readCode(): number {
    if (text[at] !== '\\') {
      const code = text.codePointAt(at) ?? fail('a character')
      at += code > 0xffff ? 2 : 1
      return code
    }
    if (text[at + 1] !== 'U') return fail('\\U')
    const code = Number.parseInt(text.slice(at + 2, at + 10), 16)
    at += 10
    return code
  }

  function readAlternatives(): Alternatives {
    const alternatives: Array<readonly Item[]> = []
    do {
      skip()
      alternatives.push(readSequence())
    } while (text[at] === '|' && at++ >= 0)
    return alternatives
  }

  function readSequence(): readonly Item[] {
    const items: Item[] = []
    let repeatable: readonly Item[] = []
    for (;;) {
      skip()
      const character = text[at]
      if (character === '"') repeatable = readLiteral()
      else if (character === '[') repeatable = [readClass()]
      else if (character === '(') repeatable = [readGroup()]
      else if (character !== undefined && /[a-z]/.test(character)) repeatable = [readName()]
      else if (character !== undefined && '*+{?'.includes(character)) {
        items.splice(items.length - repeatable.length)
        items.push(...repeated(repeatable, readTimes()))
        continue
      } else return items
      items.push(...repeatable)
    }
  }

  function readLiteral(): readonly Item[] {
    const items: Item[] = []
    for (at++; text[at] !== '"'; ) {
      const code = readCode()
      items.push({ type: 'characters', ranges: [[code, code]] })
    }
    at++
    return items
  }

  function readClass(): Item {
    const ranges: Array<readonly [number, number]> = []
    for (at++; text[at] !== ']'; ) {
      const first = readCode()
      if (text[at] === '-' && text[at + 1] !== ']') {
        at++
        ranges.push([first, readCode()])
      } else ranges.push([first, first])
    }
    at++
    return { type: 'characters', ranges }
  }

  function readGroup(): Item {
    at++
    const group = add(readAlternatives())
    if (text[at++] !== ')') fail(')')
    return group
  }

  function readName(): Item {
    const name = /^[a-zA-Z0-9-]+/.exec(text.slice(at, at + 100))?.[0] ?? fail('a name')
    at += name.length
    return { type: 'reference', name }
  }

  function readTimes(): readonly [number, number | undefined] {
    const [whole = '', sign, low = '', comma, high] =
      /^(?:([*+?])|\{(\d+)(,)?(\d+)?\})/.exec(text.slice(at, at + 30)) ?? fail('times')
    at += whole.length
    if (sign !== undefined) return sign === '*' ? [0, undefined] : sign === '+' ? [1, undefined] : [0, 1]
    if (comma === undefined) return [Number(low), Number(low)]
    return [Number(low), high === undefined ? undefined : Number(high)]
  }

  function repeated(items: readonly Item[], [min, max]: readonly [number, number | undefined]): readonly Item[] {
    if ((max ?? min) >= repetitionThreshold) throw new Error(`Too many repetitions: ${min} to ${max}`)
    const head = Array.from({ length: min }, () => items).flat()
    if (max === undefined) {
      const name = `made:${made++}`
      rules.set(name, [[...items, { type: 'reference', name }], []])
      return [...head, { type: 'reference', name }]
    }
    let tail: readonly Item[] = []
    for (let count = min; count < max; count++) tail = [add([[...items, ...tail], []])]
    return [...head, ...tail]
  }

  while (at < text.length) {
    const name = readName()
    skip()
    if (!text.startsWith('::=', at)) fail('::=')
    at += 3
    const alternatives = readAlternatives()
    if (text[at++] !== '\n') fail('a new line')
    if (name.type === 'reference') rules.set(name.name, alternatives)
  }
  for (const alternatives of rules.values())
    for (const item of alternatives.flat()) {
      if (item.type === 'reference' && !rules.has(item.name)) throw new Error(`Undefined rule ${item.name}`)
      if (item.type === 'characters' && item.ranges.length === 0) throw new Error('An empty class')
    }
  refuseLeftRecursion(rules)
  return rules
}

function refuseLeftRecursion(rules: Gbnf): void {
  const done = new Map<string, 'open' | 'empty' | 'full'>()
  const visit = (name: string): boolean => {
    const known = done.get(name)
    if (known === 'open') throw new Error(`Left recursion in ${name}`)
    if (known !== undefined) return known === 'empty'
    done.set(name, 'open')
    let mayBeEmpty = false
    for (const items of rules.get(name) ?? []) {
      const reaches = items.every((item) => item.type === 'reference' && visit(item.name))
      mayBeEmpty ||= reaches
    }
    done.set(name, mayBeEmpty ? 'empty' : 'full')
    return mayBeEmpty
  }
  for (const name of rules.keys()) visit(name)
}

type Costs = ReadonlyMap<string, number>
const costOf = (items: readonly Item[], costs: Costs) =>
  items.reduce((sum, item) => sum + (item.type === 'characters' ? 1 : (costs.get(item.name) ?? Number.POSITIVE_INFINITY)), 0)

function shortestCosts(rules: Gbnf): Costs {
  const costs = new Map<string, number>()
  for (let changed = true; changed; ) {
    changed = false
    for (const [name, alternatives] of rules) {
      const cost = Math.min(...alternatives.map((items) => costOf(items, costs)))
      if (cost < (costs.get(name) ?? Number.POSITIVE_INFINITY)) {
        costs.set(name, cost)
        changed = true
      }
    }
  }
  return costs
}

/** A maker of texts of the grammar; `random` gives whole numbers from 0 to below its argument. Past `budget` characters it takes the shortest way to the end. */
export function createGenerator(rules: Gbnf, budget = 300) {
  const costs = shortestCosts(rules)
  return (random: (below: number) => number): string => {
    let text = ''
    const waiting: Item[] = [{ type: 'reference', name: 'root' }]
    for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) {
      if (item.type === 'characters') {
        const [first, last] = item.ranges[random(item.ranges.length)] ?? [0, 0]
        text += String.fromCodePoint(first + random(Math.min(last - first + 1, 2 ** 20)))
        continue
      }
      const alternatives = rules.get(item.name) ?? []
      const cheapest = Math.min(...alternatives.map((items) => costOf(items, costs)))
      const allowed = text.length < budget ? alternatives : alternatives.filter((items) => costOf(items, costs) === cheapest)
      waiting.push(...(allowed[random(allowed.length)] ?? []).toReversed())
    }
    return text
  }
}

type Stack = { item: Item; next: Stack | undefined }

/** How far a text has come in a grammar: all ways at once, as llama.cpp has it. */
export type GbnfState = Readonly<{ rules: Gbnf; stacks: readonly Stack[]; canEnd: boolean }>

export const beginGrammar = (rules: Gbnf, root = 'root'): GbnfState =>
  expand(rules, [{ item: { type: 'reference', name: root }, next: undefined }])

/** Undefined where the grammar does not allow the text. */
export function follow(state: GbnfState, text: string): GbnfState | undefined {
  let now = state
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    const fitting = now.stacks.filter(
      ({ item }) => item.type === 'characters' && item.ranges.some(([first, last]) => first <= code && code <= last),
    )
    if (fitting.length === 0) return undefined
    now = expand(
      state.rules,
      fitting.map((stack) => stack.next),
    )
  }
  return now
}

function expand(rules: Gbnf, from: ReadonlyArray<Stack | undefined>): GbnfState {
  const stacks: Stack[] = []
  const waiting = [...from]
  let canEnd = false
  for (let steps = 0; waiting.length > 0; steps++) {
    if (steps > 100_000) throw new Error('Too many ways to go on')
    const stack = waiting.pop()
    if (stack === undefined) canEnd = true
    else if (stack.item.type === 'characters') stacks.push(stack)
    else
      for (const items of rules.get(stack.item.name) ?? [])
        waiting.push(items.reduceRight<Stack | undefined>((next, item) => ({ item, next }), stack.next))
  }
  return { rules, stacks, canEnd }
}

/** Whether the text is one of the grammar. */
export const accepts = (rules: Gbnf, text: string): boolean => follow(beginGrammar(rules), text)?.canEnd ?? false
