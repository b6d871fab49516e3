import type { ServedModel } from '../../src/client.ts'
import { formatBytes, formatCompact, formatNumber, speaker } from '../shell/language.svelte.ts'
import { texts } from './texts.ts'

const say = speaker(texts)

/** What a model's file says of it, in a few words each. */
export function factsOf(model: ServedModel): readonly string[] {
  const { quantization, parameters, size_bytes: size, trained_context_size: context, estimated_memory_bytes: memory } = model
  return [
    ...(model.kind === 'chat' ? [] : [say(model.kind)]),
    ...(quantization === undefined ? [] : [fileTypeOf(quantization)]),
    ...(parameters ? [say('parameters', { value: formatCompact(parameters) })] : []),
    ...(size ? [say('sizeOf', { size: formatBytes(size) })] : []),
    ...(context && model.kind === 'chat' ? [say('context', { value: formatNumber(context) })] : []),
    ...(memory ? [say('needs', { size: formatBytes(memory) })] : []),
    ...(model.aliases.length > 0 ? [say('alsoCalled', { names: model.aliases.join(', ') })] : []),
  ]
}

/** llama.cpp calls a model in memory `Q4_K - Medium`; its file, and everybody else, Q4_K_M. */
const fileTypeOf = (quantization: string) => quantization.replace(/ - ([SML])(?:mall|edium|arge)$/, '_$1')
