import { readFile } from 'node:fs/promises'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { AppError } from '../errors.ts'
import { replaceFile } from '../storage/replace-file.ts'

/** What can change while the service runs: the file config/config.json. */
export type Selection = Readonly<{
  /** One of the provider's; undefined: nobody has chosen yet. */
  selectedModel: string | undefined
  /** `hf`: the models of this machine. */
  provider: string
}>

const selectionFile = Type.Object(
  {
    selected_model: Type.Union([Type.String({ minLength: 1, maxLength: 500 }), Type.Null()]),
    provider: Type.String({ minLength: 1, maxLength: 50 }),
  },
  { additionalProperties: false },
)

const example = '{"selected_model": "NAME" or null, "provider": "hf"}'

/** Reads the file; undefined where there is none. Throws `invalid` when it holds anything else than a selection. */
export async function readSelection(path: string): Promise<Selection | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw new AppError('invalid', `${path} cannot be read. Check its owner and permissions.`, { cause })
  }
  const content = parseJson(text, path)
  if (!Value.Check(selectionFile, content))
    throw new AppError('invalid', `${path} must hold ${example}, but holds something else.`)
  return { selectedModel: content.selected_model ?? undefined, provider: content.provider }
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new AppError('invalid', `${path} must hold ${example}, but is not JSON.`, { cause })
  }
}

/** Writes beside the file and renames, so that a reader and a power cut see the old or the new one. */
export async function writeSelection(path: string, selection: Selection): Promise<void> {
  const content = { selected_model: selection.selectedModel ?? null, provider: selection.provider }
  try {
    await replaceFile(path, `${JSON.stringify(content, null, 2)}\n`)
  } catch (cause) {
    throw new AppError('unavailable', `${path} cannot be written. Check the disk, its owner and permissions.`, { cause })
  }
}
