import { AppError } from '../../errors.ts'
import { type CacheType, chooseCacheType } from './cache-type.ts'
import type { Llama, Pointer } from './libllama.ts'
import type { LoadedModel, LoadOptions } from './protocol.ts'

/** Throws `invalid` when the file is no whole model, or of a kind that cannot answer prompts. */
export function loadModel(llama: Llama, path: string, gpuLayers: number): Pointer {
  const model = llama.llama_model_load_from_file(path, { ...llama.llama_model_default_params(), n_gpu_layers: gpuLayers })
  if (model === null) throw new AppError('invalid', 'The file is not a whole model that this version of llama.cpp can read.')
  const generates = llama.llama_model_has_decoder(model) && !llama.llama_model_has_encoder(model)
  if (generates && !llama.llama_model_is_recurrent(model) && !llama.llama_model_is_hybrid(model)) return model
  throw new AppError('invalid', 'The file holds a model of a kind that cannot answer prompts here (encoder or recurrent).')
}

/** What the cells of a context of this size are best kept in. */
export function cacheTypeFor(llama: Llama, model: Pointer, { cacheType }: LoadOptions, cells: number): CacheType {
  if (cacheType !== 'auto') return cacheType
  const usual = llama.llama_model_n_embd(model) / llama.llama_model_n_head(model)
  const attention = `${metadata(llama, model, 'general.architecture')}.attention`
  const lengthOf = (name: string) => Number(metadata(llama, model, `${attention}.${name}_length`)) || usual
  const [layers, heads] = [llama.llama_model_n_layer(model), llama.llama_model_n_head_kv(model)]
  const shape = { cells, layers, heads, keyLength: lengthOf('key'), valueLength: lengthOf('value') }
  return chooseCacheType(shape, process.availableMemory())
}

type Opened = Readonly<{
  llama: Llama
  model: Pointer
  vocabulary: Pointer
  options: LoadOptions
  device: string
  contextSize: number
  cacheType: CacheType
}>

/** What the file and its context say of the model. */
export function describeModel({ llama, model, vocabulary, options, device, contextSize, cacheType }: Opened): LoadedModel {
  return {
    ...describeFile(llama, model, vocabulary),
    contextSize,
    device,
    threads: options.threads,
    cacheType,
    parameters: Number(llama.llama_model_n_params(model)),
    sizeBytes: Number(llama.llama_model_size(model)),
  }
}

export type FileFacts = Pick<
  LoadedModel,
  'architecture' | 'quantization' | 'vocabularySize' | 'chatTemplate' | 'bosToken' | 'eosToken' | 'controlTokens'
>

/** What the file alone says: its weights may have been left out. */
export function describeFile(llama: Llama, model: Pointer, vocabulary: Pointer): FileFacts {
  const textOf = (token: number) => (token < 0 ? '' : (llama.llama_vocab_get_text(vocabulary, token) ?? ''))
  const tokens = Array.from({ length: llama.llama_vocab_n_tokens(vocabulary) }, (_, token) => token)
  return {
    architecture: metadata(llama, model, 'general.architecture'),
    quantization: quantizationOf(llama, model),
    vocabularySize: tokens.length,
    chatTemplate: llama.llama_model_chat_template(model, null) ?? undefined,
    bosToken: textOf(llama.llama_vocab_bos(vocabulary)),
    eosToken: textOf(llama.llama_vocab_eos(vocabulary)),
    controlTokens: tokens.filter((token) => llama.llama_vocab_is_control(vocabulary, token)).map(textOf),
  }
}

/** For example `Q4_K - Medium`: what llama.cpp calls it at the end of its description. */
export function quantizationOf(llama: Llama, model: Pointer): string {
  const description = readText((bytes) => llama.llama_model_desc(model, bytes, bytes.length))
  return /((?:all )?(?:[A-Z]+\d\S*.*|mostly .*))$/.exec(description)?.[1] ?? description
}

function metadata(llama: Llama, model: Pointer, key: string): string {
  return readText((bytes) => llama.llama_model_meta_val_str(model, key, bytes, bytes.length))
}

function readText(read: (bytes: Uint8Array) => number): string {
  const bytes = new Uint8Array(1024)
  const length = read(bytes)
  return Buffer.from(bytes.subarray(0, Math.max(0, Math.min(length, bytes.length - 1)))).toString('utf8')
}
