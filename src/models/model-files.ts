import { hash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { type GgufScalar, readGgufHeader } from '../engine/gguf/gguf-header.ts'
import { AppError } from '../errors.ts'
import { modelEnding } from './model-name.ts'
import type { ModelDetails, ModelRegistry } from './registry.ts'
import { findRecord } from './verified-file.ts'

/** What is known of the (first) file of a model without reading it. */
export type ModelFileFacts = Readonly<{
  /** Milliseconds since 1970. */
  modifiedAt: number
  /** 64 hexadecimal digits: the recorded SHA-256, or else one of what tells the file from others. */
  digest: string
}>

export interface ModelFiles {
  /** By the installed name; undefined where there is no such file. */
  describe(name: string): Promise<ModelFileFacts | undefined>
  /** What the header of a GGUF file says, lists aside; empty for other files. */
  readMetadata(name: string): Promise<ReadonlyMap<string, GgufScalar>>
}

export function createModelFiles(registry: Pick<ModelRegistry, 'describe'>): ModelFiles {
  async function find(name: string): Promise<ModelDetails | undefined> {
    try {
      return await registry.describe(name)
    } catch (error) {
      if (error instanceof AppError && ['not_found', 'invalid'].includes(error.code)) return undefined
      throw error
    }
  }

  return {
    async describe(name) {
      const model = await find(name)
      if (model === undefined) return undefined
      const [first = model.path] = model.files
      const [found, record] = await Promise.all([stat(first), findRecord(first)])
      return { modifiedAt: found.mtimeMs, digest: record?.sha256 ?? hash('sha256', model.identity) }
    },
    async readMetadata(name) {
      const model = await find(name)
      if (model === undefined || !model.path.endsWith(modelEnding)) return new Map()
      const { metadata } = await readGgufHeader(model.path)
      return new Map([...metadata].flatMap(([key, value]) => (typeof value === 'object' ? [] : [[key, value] as const])))
    },
  }
}
