import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import { AppError } from '../errors.ts'

export const manifestName = 'manifest.json'
export const format = 1

const closed = { additionalProperties: false }
const sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })
const count = Type.Integer({ minimum: 0 })

const manifest = Type.Object(
  {
    format: Type.Literal(format),
    /** Of the program that wrote it. */
    version: Type.String(),
    created_at: Type.String(),
    /** The migrations of the database, in their order. */
    migrations: Type.Array(Type.String()),
    tables: Type.Array(
      Type.Object(
        { name: Type.String(), rows: count, sha256, last_number: Type.String({ pattern: '^\\d{1,19}$' }), pieces: count },
        closed,
      ),
    ),
    files: Type.Array(Type.Object({ name: Type.String(), bytes: count, sha256, modified_ms: Type.Optional(count) }, closed)),
  },
  closed,
)
/** What a backup says of itself, in its last entry: `files` are all others, in their order. */
export type Manifest = Static<typeof manifest>

/** Throws `invalid` for what is none, and `unprocessable` for that of a newer program. */
export function readManifest(text: string): Manifest {
  const content = parse(text)
  if (Value.Check(manifest, content)) return content
  if (Value.Check(newer, content))
    throw new AppError('unprocessable', 'A newer simpleIA has written this backup. Update simpleIA, then restore it.')
  throw new AppError('invalid', 'What this backup says of itself cannot be read: it is damaged. Nothing was changed.')
}

const newer = Type.Object({ format: Type.Integer({ exclusiveMinimum: format }) })

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Where things are in a backup: rows, what DATA_DIR holds, settings that are files, and models. */
export const sections = ['database', 'data', 'config', 'models'] as const
export type Section = (typeof sections)[number]

export const rowsName = (table: string, piece: number): string => `database/${table}/${String(piece).padStart(6, '0')}.jsonl`

/** The section and the path in it. Throws `invalid` for a name that leads out of the place where it belongs. */
export function placeOf(name: string): Readonly<{ section: Section; path: string }> {
  const [first, ...rest] = name.split('/')
  const section = sections.find((one) => one === first)
  const isPlain = rest.length > 0 && rest.every((part) => part !== '' && part !== '.' && part !== '..' && !/[\\:\0]/.test(part))
  if (section !== undefined && isPlain) return { section, path: rest.join('/') }
  throw new AppError(
    'invalid',
    `This is no backup of simpleIA: it holds ${JSON.stringify(name.slice(0, 200))}. Nothing was changed.`,
  )
}
