import { Type } from 'typebox'
import { AppError } from '../../errors.ts'
import { findJson } from './json-file.ts'

/** How the vectors of a text's tokens become one. */
export type TextPooling = 'mean' | 'cls' | 'last'

/** `llama_pooling_type` of llama.h. */
export const poolingTypes: Readonly<Record<TextPooling, number>> = { mean: 1, cls: 2, last: 3 }

const Modules = Type.Array(Type.Object({ type: Type.String(), path: Type.String() }))
const Pooling = Type.Object({
  pooling_mode: Type.Optional(Type.String()),
  pooling_mode_cls_token: Type.Optional(Type.Boolean()),
  pooling_mode_mean_tokens: Type.Optional(Type.Boolean()),
  pooling_mode_lasttoken: Type.Optional(Type.Boolean()),
})
const poolingModes: Readonly<Record<string, TextPooling>> = { mean: 'mean', cls: 'cls', lasttoken: 'last' }

/** Whether a checkpoint says that it makes vectors of texts, as those of sentence-transformers do. */
export async function hasPooling(folder: string): Promise<boolean> {
  return ((await findJson(folder, 'modules.json', Modules)) ?? []).some(({ type }) => /\.Pooling$/.test(type))
}

/**
 * As sentence-transformers does it: from the folder of its pooling module; the mean where there are no modules. Throws `invalid` for
 * what cannot be converted.
 */
export async function readPooling(folder: string): Promise<TextPooling> {
  const modules = (await findJson(folder, 'modules.json', Modules)) ?? []
  const dense = modules.find(({ type }) => /\.Dense$/.test(type))
  if (dense !== undefined) throw new AppError('invalid', 'Models whose vectors go through a Dense module cannot be converted.')
  const path = modules.find(({ type }) => /\.Pooling$/.test(type))?.path ?? '1_Pooling'
  if (!/^[\w-][\w.-]*$/.test(path)) throw new AppError('invalid', 'modules.json must name a folder inside the checkpoint.')
  const config = await findJson(folder, `${path}/config.json`, Pooling)
  if (config === undefined || config.pooling_mode_mean_tokens) return 'mean'
  if (config.pooling_mode_cls_token) return 'cls'
  if (config.pooling_mode_lasttoken) return 'last'
  const mode = poolingModes[config.pooling_mode ?? '']
  if (mode !== undefined) return mode
  throw new AppError('invalid', `The pooling in ${path}/config.json is none of mean, cls and lasttoken.`)
}
