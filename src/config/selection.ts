import { readFile } from 'node:fs/promises'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Config } from '../config.ts'
import type { Selected } from '../engine/providers.ts'
import { AppError } from '../errors.ts'
import { replaceFile } from '../storage/replace-file.ts'
import { toStorageError } from '../storage/storage-error.ts'

/** What can change while the service runs: the file config/config.json. */
export type Selection = Readonly<{
  /** One of the provider's; undefined: nobody has chosen yet. */
  selectedModel: string | undefined
  /** `hf`: the models of this machine; undefined: nobody has chosen yet. */
  provider: string | undefined
}>

const orNull = (maxLength: number) => Type.Union([Type.String({ minLength: 1, maxLength }), Type.Null()])
const selectionFile = Type.Object({ selected_model: orNull(500), provider: orNull(50) }, { additionalProperties: false })

const example = '{"selected_model": "NAME" or null, "provider": "NAME" or null}'

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
  return { selectedModel: content.selected_model ?? undefined, provider: content.provider ?? undefined }
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
  const content = { selected_model: selection.selectedModel ?? null, provider: selection.provider ?? null }
  try {
    await replaceFile(path, `${JSON.stringify(content, null, 2)}\n`)
  } catch (error) {
    const cause = toStorageError(error, path)
    if (cause instanceof AppError && cause.code === 'storage_full') throw cause
    throw new AppError('unavailable', `${path} cannot be written. Check the disk, its owner and permissions.`, { cause })
  }
}

/**
 * Who answers, and with which of its models: what the file says, else LLM_PROVIDER and DEFAULT_MODEL; no model: the usual one. Throws like
 * `readSelection`.
 */
export async function readSelected({
  configFile,
  defaultModel,
  llmProvider,
}: Pick<Config, 'configFile' | 'defaultModel' | 'llmProvider'>): Promise<Selected> {
  const selection = await readSelection(configFile)
  const provider = selection?.provider ?? llmProvider
  // DEFAULT_MODEL is one of the provider that LLM_PROVIDER names.
  return { provider, model: selection?.selectedModel ?? (provider === llmProvider ? defaultModel : undefined) }
}
