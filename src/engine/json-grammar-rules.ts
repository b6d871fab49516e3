import { AppError } from '../errors.ts'

/** A grammar, piece by piece. Code points, not UTF-16 units. */
export type Expression =
  | Readonly<{ type: 'literal'; text: string }>
  | Readonly<{ type: 'characters'; ranges: readonly CharacterRange[] }>
  | Readonly<{ type: 'reference'; name: string }>
  | Readonly<{ type: 'sequence'; parts: readonly Expression[] }>
  | Readonly<{ type: 'choice'; options: readonly Expression[] }>
  | Readonly<{ type: 'repeat'; of: Repeatable; min: number; max: number | undefined }>

/** From the first code point to the last, both included. */
export type CharacterRange = readonly [number, number]

// llama.cpp counts the rules inside what is repeated against a limit; these two count as one.
export type Repeatable = Extract<Expression, { type: 'characters' | 'reference' }>

export const literal = (text: string): Expression => ({ type: 'literal', text })
export const nothing = literal('')
export const reference = (name: string): Repeatable => ({ type: 'reference', name })
export const sequence = (...parts: readonly Expression[]): Expression => ({ type: 'sequence', parts })

export function characters(...ranges: readonly (CharacterRange | string)[]): Repeatable {
  const codeOf = (text: string): number => text.codePointAt(0) ?? 0
  const toRanges = (range: CharacterRange | string): readonly CharacterRange[] =>
    typeof range === 'string' ? [...range].map((character) => [codeOf(character), codeOf(character)]) : [range]
  return { type: 'characters', ranges: ranges.flatMap(toRanges) }
}

export const digit = characters([0x30, 0x39])

export function choice(options: readonly Expression[]): Expression {
  const [first, ...rest] = options
  return first !== undefined && rest.length === 0 ? first : { type: 'choice', options }
}

export const optional = (expression: Expression): Expression => choice([expression, nothing])

/** llama.cpp refuses 2,000 repetitions and takes the limit off an optional part that is longer. */
export const maxRepetitions = 1999

export function repeat(of: Repeatable, min: number, max: number | undefined): Expression {
  if (min > maxRepetitions || (max ?? 0) > maxRepetitions)
    throw new AppError('internal', `${min} to ${max} repetitions are too many.`)
  if (max === 0) return nothing
  return min === 1 && max === 1 ? of : { type: 'repeat', of, min, max }
}

export type GrammarRules = ReturnType<typeof createGrammarRules>

/** The rules of one grammar; `root` is the first. */
export function createGrammarRules() {
  const rules = new Map<string, Expression>()
  const shared = new Map<string, string>()
  let count = 0
  const declare = (hint: string): string => `${hint}-${count++}`

  return {
    /** A new name, for a rule that will be defined. */
    declare,
    define(name: string, expression: Expression): void {
      rules.set(name, expression)
    },
    /** Adds a rule of its own. */
    add(hint: string, expression: Expression): Repeatable {
      const name = declare(hint)
      rules.set(name, expression)
      return reference(name)
    },
    /** A rule that many places use, made at its first use; it may refer to itself. The key begins with a word. */
    share(key: string, make: () => Expression): Repeatable {
      const known = shared.get(key)
      if (known !== undefined) return reference(known)
      const name = declare(key.split(' ', 1)[0] ?? 'shared')
      shared.set(key, name)
      rules.set(name, make())
      return reference(name)
    },
    /** Whether a finite text follows each rule: a schema can require itself without end. */
    canEnd(): boolean {
      return endingRules(rules).size === rules.size
    },
    /** GBNF, as llama.cpp reads it. */
    toText(root: Expression): string {
      return [['root', root] as const, ...rules].map(([name, expression]) => `${name} ::= ${toText(expression)}\n`).join('')
    },
  }
}

function endingRules(rules: ReadonlyMap<string, Expression>): ReadonlySet<string> {
  const ending = new Set<string>()
  const ends = (expression: Expression): boolean => {
    switch (expression.type) {
      case 'literal':
        return true
      case 'characters':
        return expression.ranges.length > 0
      case 'reference':
        return ending.has(expression.name)
      case 'sequence':
        return expression.parts.every(ends)
      case 'choice':
        return expression.options.some(ends)
      case 'repeat':
        return expression.min === 0 || ends(expression.of)
    }
  }
  for (let before = -1; before < ending.size; ) {
    before = ending.size
    for (const [name, expression] of rules) if (!ending.has(name) && ends(expression)) ending.add(name)
  }
  return ending
}

function toText(expression: Expression): string {
  switch (expression.type) {
    case 'literal':
      return `"${[...expression.text].map(escapeInLiteral).join('')}"`
    case 'characters':
      return `[${expression.ranges.map(rangeToText).join('')}]`
    case 'reference':
      return expression.name
    case 'sequence':
      return expression.parts.length === 0 ? '""' : expression.parts.map(toText).join(' ')
    case 'choice':
      return `(${expression.options.map(toText).join(' | ')})`
    case 'repeat':
      return toText(expression.of) + timesToText(expression.min, expression.max)
  }
}

function timesToText(min: number, max: number | undefined): string {
  if (max === undefined && min <= 1) return min === 0 ? '*' : '+'
  return min === max ? `{${min}}` : `{${min},${max ?? ''}}`
}

const escapeInLiteral = (character: string) =>
  /[a-zA-Z0-9 _.,:;/{}()'-]/.test(character) ? character : escapeCode(character.codePointAt(0) ?? 0)

const rangeToText = ([first, last]: CharacterRange) =>
  first === last ? escapeInRange(first) : `${escapeInRange(first)}-${escapeInRange(last)}`

const escapeInRange = (code: number) => {
  const character = String.fromCodePoint(code)
  return /[a-zA-Z0-9]/.test(character) ? character : escapeCode(code)
}

const escapeCode = (code: number) => `\\U${code.toString(16).padStart(8, '0')}`
