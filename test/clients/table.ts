import { readFile } from 'node:fs/promises'
import { features } from './features.ts'

/** `missing` with an empty text: the client has nothing like it. */
export type Outcome = Readonly<{ state: 'works' } | { state: 'failed' } | { state: 'missing'; reason: string }>

/** What a client can do; its name says its version, too. */
export type Column = Readonly<{ name: string; outcomes: ReadonlyMap<string, Outcome> }>

/** The table of features and clients, with the reasons below it. */
export function renderTable(columns: readonly Column[]): string {
  const notes: string[] = []
  const cellOf = (feature: string, { outcomes }: Column): string => {
    const outcome = outcomes.get(feature)
    if (outcome?.state === 'works') return '✓'
    if (outcome?.state !== 'missing') return '✗'
    if (outcome.reason === '') return '–'
    const note = `${outcome.reason}.`
    if (!notes.includes(note)) notes.push(note)
    return `–<sup>${notes.indexOf(note) + 1}</sup>`
  }
  const rows = Object.entries(features).map(([feature, title]) => [title, ...columns.map((column) => cellOf(feature, column))])
  const lines = [['', ...columns.map(({ name }) => name)], ['---', ...columns.map(() => ':-:')], ...rows]
  const table = lines.map((cells) => `| ${cells.join(' | ')} |`.replace('|  |', '| |'))
  return [...table, '', ...notes.map((note, index) => `${index + 1}. ${note}`)].join('\n').trimEnd()
}

/** The document with its table of that language written anew. */
export function withTable(document: string, language: string, table: string): string {
  const [begin, end] = [`<!-- ${language}: written by test/clients -->`, `<!-- end of ${language} -->`]
  const [before, rest] = document.split(begin)
  const after = rest?.split(end)[1]
  if (before === undefined || after === undefined) throw new Error(`The document has no place for ${language}: ${begin} … ${end}`)
  return `${before}${begin}\n\n${table}\n\n${end}${after}`
}

/** `name 1.2` of a package of npm. */
export async function installedName(name: string): Promise<string> {
  const { version } = JSON.parse(await readFile(`node_modules/${name}/package.json`, 'utf8'))
  return `${name} ${minor(version)}`
}

/** `name 1.2` of a package of Python, by the version that is to be installed. */
export async function requiredName(name: string): Promise<string> {
  const required = await readFile('test/clients/requirements.txt', 'utf8')
  return `${name} ${minor(new RegExp(`^${name}==(\\S+)$`, 'm').exec(required)?.[1] ?? '')}`
}

const minor = (version: string) => version.split('.').slice(0, 2).join('.')
