import { AppError } from '../../errors.ts'
import type { GgufHeader, GgufValue } from '../gguf/gguf-header.ts'

/** The settings of an architecture in a file's header. What was asked for is remembered, so that the rest can be refused. */
export interface Keys {
  /** Throws `invalid` when there is none and no usual value, or when it is no number. */
  number(key: string, usual?: number): number
  /** A whole number above 0. */
  count(key: string, usual?: number): number
  text(key: string, usual: string): string
  /** Throws `invalid` when there is another value. */
  expect(key: string, value: number | boolean): void
  ignore(...keys: readonly string[]): void
  unsupported(key: string, value: GgufValue): AppError
  /** Throws `invalid` by name for a setting that was not asked for and is not off. */
  refuseOthers(): void
}

/** What says nothing of how the model computes. */
const harmless = ['context_length', 'vocab_size', 'tensor_data_layout', 'attention.layer_norm_epsilon']

export function createKeys(metadata: GgufHeader['metadata'], architecture: string): Keys {
  const asked = new Set(harmless)
  const find = (key: string) => {
    asked.add(key)
    return metadata.get(`${architecture}.${key}`)
  }

  function unsupported(key: string, value: GgufValue): AppError {
    const shown = typeof value === 'object' ? `a list of ${value.length}` : JSON.stringify(value)
    return new AppError('invalid', `The model cannot be trained: its header sets ${architecture}.${key} to ${shown}.`)
  }

  function number(key: string, usual?: number): number {
    const value = find(key) ?? usual
    if (typeof value === 'number' && Number.isFinite(value)) return value
    if (value !== undefined) throw unsupported(key, value)
    throw new AppError('invalid', `The header of the model has no ${architecture}.${key}: the file is not whole.`)
  }

  return {
    number,
    count(key, usual) {
      const value = number(key, usual)
      if (!Number.isInteger(value) || value < 1) throw unsupported(key, value)
      return value
    },
    text(key, usual) {
      const value = find(key) ?? usual
      if (typeof value !== 'string') throw unsupported(key, value)
      return value
    },
    expect(key, value) {
      const found = find(key)
      if (found !== undefined && found !== value) throw unsupported(key, found)
    },
    ignore(...keys) {
      for (const key of keys) asked.add(key)
    },
    unsupported,
    refuseOthers() {
      const prefix = `${architecture}.`
      for (const [key, value] of metadata) {
        const isOff = value === 0 || value === false
        if (key.startsWith(prefix) && !asked.has(key.slice(prefix.length)) && !isOff)
          throw unsupported(key.slice(prefix.length), value)
      }
    },
  }
}
