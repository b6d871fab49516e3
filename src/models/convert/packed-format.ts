import { Type } from 'typebox'
import { AppError } from '../../errors.ts'
import { checkJson } from './json-file.ts'

/** How a checkpoint's matrices are kept in 4 bits. */
export type PackedFormat = Readonly<{
  method: 'awq' | 'gptq'
  /** Inputs that share a scale and a zero point; undefined: all of them. */
  groupSize: number | undefined
  /** What a stored zero point lacks: 1 in GPTQ's first format, where they were written less 1. */
  zeroOffset: 0 | 1
}>

const Quantization = Type.Object({
  quant_method: Type.Optional(Type.String()),
  bits: Type.Optional(Type.Integer()),
  w_bit: Type.Optional(Type.Integer()),
  group_size: Type.Optional(Type.Integer({ minimum: -1 })),
  q_group_size: Type.Optional(Type.Integer({ minimum: -1 })),
  version: Type.Optional(Type.String()),
  zero_point: Type.Optional(Type.Boolean()),
  checkpoint_format: Type.Optional(Type.String()),
})

const readable = '4-bit AWQ ("gemm") and 4-bit GPTQ ("gptq" or "gptq_v2")'

/** Reads `quantization_config` of config.json. Throws `invalid` for a format that is not known here. */
export function parsePackedFormat(value: object): PackedFormat {
  const known = Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null))
  const given = checkJson(known, 'config.json (quantization_config)', Quantization)
  const method = given.quant_method
  if (method !== 'awq' && method !== 'gptq') throw unknown(`quant_method "${method}"`)
  const bits = given.bits ?? given.w_bit
  if (bits !== 4) throw unknown(`${bits} bits`)
  const size = given.group_size ?? given.q_group_size ?? (method === 'awq' ? 128 : -1)
  const format = method === 'awq' ? (given.version ?? 'gemm').toLowerCase() : (given.checkpoint_format ?? 'gptq')
  if (!(method === 'awq' ? ['gemm'] : ['gptq', 'gptq_v2']).includes(format)) throw unknown(`format "${format}"`)
  if (method === 'awq' && given.zero_point === false) throw unknown('no zero points')
  return { method, groupSize: size > 0 ? size : undefined, zeroOffset: format === 'gptq' ? 1 : 0 }
}

function unknown(what: string): AppError {
  return new AppError('invalid', `The checkpoint is quantized in a way that cannot be read: ${what}. These can: ${readable}.`)
}
