import { readFile } from 'node:fs/promises'

/** Bytes to which the tensors in a GGUF file are aligned, unless it says otherwise. */
const alignment = 32
/** Magic, version, number of tensors, number of keys. */
const headerBytes = 24
const stringType = 8

/** The bytes of a GGUF file with one more key, `tokenizer.chat_template`; see ggml's docs/gguf.md. The file must not have one. */
export async function withChatTemplate(file: string, template: string): Promise<Buffer> {
  const whole = await readFile(file)
  const header = Buffer.from(whole.subarray(0, headerBytes))
  header.writeBigUInt64LE(header.readBigUInt64LE(16) + 1n, 16)
  const key = withLength('tokenizer.chat_template')
  const type = Buffer.alloc(4)
  type.writeUInt32LE(stringType)
  // A Jinja comment makes it a multiple of the alignment: then all that follows stays where it must be.
  const plain = key.length + type.length + withLength(template).length + '{##}'.length
  const filler = '-'.repeat((alignment - (plain % alignment)) % alignment)
  return Buffer.concat([header, key, type, withLength(`${template}{#${filler}#}`), whole.subarray(headerBytes)])
}

function withLength(text: string): Buffer {
  const bytes = Buffer.from(text)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(bytes.length))
  return Buffer.concat([length, bytes])
}

/** The essence of the template that instruction-tuned Gemma 3 models carry. */
export const gemmaTemplate = `{{ bos_token }}
{%- for message in messages -%}
    {{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' }}
    {{- message['content'] | trim }}
    {{- '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}`
