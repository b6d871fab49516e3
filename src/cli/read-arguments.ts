import { parseArgs } from 'node:util'
import { yesOrNo } from '../config/kinds.ts'
import type { Setting } from '../config/setting.ts'
import { flagOf, settingRows } from '../config/settings.ts'
import type { Environment } from '../config.ts'
import { type Command, commands, shortcuts } from './commands.ts'
import type { Say } from './messages.ts'

type Given = Readonly<{
  words: readonly string[]
  flags: ReadonlySet<string>
  /** Of the command's flags that have one. */
  values: ReadonlyMap<string, string>
  settings: Environment
}>

export type Call =
  | (Readonly<{ type: 'run'; command: Command }> & Given)
  | Readonly<{ type: 'help'; command: Command | undefined }>
  | Readonly<{ type: 'version' }>
  | Readonly<{ type: 'mistake'; message: string }>

const settingOf: ReadonlyMap<string, Setting> = new Map(settingRows.map(([, setting]) => [flagOf(setting).slice(2), setting]))
const commandFlags = new Map(commands.flatMap(({ flags }) => flags.map(({ name, value }) => [name, value])))

/** Reads the words after the program's name. */
export function readArguments(args: readonly string[], say: Say): Call {
  const whole = commands.find(({ readsItself, path }) => readsItself && path.every((word, index) => word === args[index]))
  if (whole !== undefined) {
    return {
      type: 'run',
      command: whole,
      words: args.slice(whole.path.length),
      flags: new Set(),
      values: new Map(),
      settings: {},
    }
  }
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowNegative: true, tokens: true })
  const words: string[] = []
  const flags = new Set<string>()
  const values = new Map<string, string>()
  const settings: Record<string, string> = {}
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value)
    if (token.kind !== 'option') continue
    if (token.name === 'version') return { type: 'version' }
    const setting = settingOf.get(token.name.replace(/^no-/, ''))
    if (setting === undefined) {
      // A flag that begins with `no-` is a negative one to the parser: its name has lost the beginning.
      const name = commandFlags.has(token.rawName.slice(2)) ? token.rawName.slice(2) : token.name
      if (!(name in options)) return mistake(say('unknownFlag', { name: token.rawName }), suggest(token.rawName, knownFlags), say)
      const read = readFlag(commandFlags.get(name) !== undefined, token, say)
      if (read.mistake !== undefined) return mistake(read.mistake, undefined, say)
      if (read.value !== '') values.set(name, read.value)
      flags.add(name)
      continue
    }
    const read = readSetting(setting, token, say)
    if (read.mistake !== undefined) return mistake(read.mistake, undefined, say)
    settings[setting.env] = read.value
  }
  return findCall({ words, flags, values, settings }, say)
}

type Token = Readonly<{ rawName: string; value: string | undefined; inlineValue: boolean | undefined }>
type Reading = Readonly<{ value: string; mistake?: undefined }> | Readonly<{ mistake: string }>

function readSetting(setting: Setting, { rawName, value, inlineValue }: Token, say: Say): Reading {
  const isNegative = rawName.startsWith('--no-')
  if (setting.secret) return { mistake: say('secretFlag', { name: rawName, env: setting.env }) }
  if (setting.kind === yesOrNo) {
    if (isNegative) return value === undefined ? { value: 'false' } : { mistake: say('noValue', { name: rawName }) }
    return { value: value ?? 'true' }
  }
  if (isNegative) return { mistake: say('unknownFlag', { name: rawName }) }
  const isNextFlag = !inlineValue && value !== undefined && /^-[^\d]/.test(value)
  return value === undefined || isNextFlag ? { mistake: say('missingValue', { name: rawName }) } : { value }
}

/** A flag of a command; without a value it gives the empty text. */
function readFlag(hasValue: boolean, { rawName, value, inlineValue }: Token, say: Say): Reading {
  if (!hasValue) return value === undefined ? { value: '' } : { mistake: say('noValue', { name: rawName }) }
  const isMissing = value === undefined || value === '' || (!inlineValue && value.startsWith('-'))
  return isMissing ? { mistake: say('missingValue', { name: rawName }) } : { value }
}

function findCall({ words, flags, values, settings }: Given, say: Say): Call {
  const wantsHelp = flags.has('help')
  const full = shortcuts[words.join(' ')] ?? words
  const command = commands.find(({ path }) => path.every((word, index) => word === full[index]))
  if (command === undefined) {
    if (words.length === 0 || (wantsHelp && isGroup(words))) return { type: 'help', command: undefined }
    const known = commands.flatMap(({ path }) => path.map((_, index) => path.slice(0, index + 1).join(' ')))
    return mistake(say('unknownCommand', { name: words.join(' ') }), suggest(words.join(' '), known), say)
  }
  if (wantsHelp) return { type: 'help', command }
  const rest = full.slice(command.path.length)
  const foreign = [...flags].find((flag) => !command.flags.some(({ name }) => name === flag))
  if (foreign !== undefined) return mistake(say('unknownFlag', { name: `--${foreign}` }), undefined, say)
  const required = command.arguments.filter((name) => !name.startsWith('[')).length
  const most = command.arguments.at(-1)?.endsWith('…') ? Number.POSITIVE_INFINITY : command.arguments.length
  if (rest.length < required || rest.length > most) {
    return mistake(say('wrongArguments', { usage: [...command.path, ...command.arguments].join(' ') }), undefined, say)
  }
  return { type: 'run', command, words: rest, flags, values, settings }
}

function isGroup(words: readonly string[]): boolean {
  return commands.some(({ path }) => words.every((word, index) => word === path[index]))
}

function mistake(message: string, suggestion: string | undefined, say: Say): Call {
  const parts = [message, ...(suggestion === undefined ? [] : [say('suggestion', { name: suggestion })]), say('seeHelp')]
  return { type: 'mistake', message: parts.join(' ') }
}

const options = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
  ...Object.fromEntries(
    [...commandFlags].map(([name, value]) => [name, { type: value === undefined ? ('boolean' as const) : ('string' as const) }]),
  ),
  ...Object.fromEntries(
    [...settingOf].map(([name, { kind }]) => [name, { type: kind === yesOrNo ? ('boolean' as const) : ('string' as const) }]),
  ),
} satisfies NonNullable<Parameters<typeof parseArgs>[0]>['options']

const knownFlags: readonly string[] = Object.keys(options).map((name) => `--${name}`)

/** The known word nearest to a mistyped one, when it is near enough to be meant. */
export function suggest(typed: string, known: readonly string[]): string | undefined {
  const [best] = known.map((word) => ({ word, edits: countEdits(typed, word) })).sort((one, other) => one.edits - other.edits)
  return best !== undefined && best.edits <= Math.max(1, Math.floor(typed.length / 3)) ? best.word : undefined
}

/** Letters to add, remove, change or swap with their neighbour to make one word of the other. */
function countEdits(one: string, other: string): number {
  const [letters, otherLetters] = [[...one], [...other]]
  /** How many edits make the first letters of one of the first letters of the other, by how many they are. */
  const rows: number[][] = []
  const edits = (above: number, left: number) => rows[above]?.[left] ?? Number.POSITIVE_INFINITY
  for (let above = 0; above <= letters.length; above += 1) {
    const row = [above]
    rows.push(row)
    for (const [index, otherLetter] of otherLetters.entries()) {
      const isSame = letters[above - 1] === otherLetter
      const isSwapped = letters[above - 1] === otherLetters[index - 1] && letters[above - 2] === otherLetter
      const change = edits(above - 1, index) + (isSame ? 0 : 1)
      const swap = isSwapped ? edits(above - 2, index - 1) + 1 : change
      row.push(Math.min(change, swap, edits(above - 1, index + 1) + 1, edits(above, index) + 1))
    }
  }
  return edits(letters.length, otherLetters.length)
}
