import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { GgufValue } from '../../engine/gguf/gguf-writer.ts'
import { findBytes, findJson } from './json-file.ts'

/** What tokenizer_config.json and the files beside it say. */
export type TokenizerSettings = Readonly<{
  /** The texts of special tokens, by `bos`, `eos`, `unk`, `pad` and so on. */
  special: ReadonlyMap<string, string>
  addsBos: boolean | undefined
  addsEos: boolean | undefined
  addsPrefixSpace: boolean | undefined
  /** Tokens that tokenizer_config.json adds. */
  added: ReadonlyArray<Readonly<{ id: number; content: string; special: boolean }>>
  /** By name; `default` is the one for ordinary chats. */
  chatTemplates: ReadonlyMap<string, string>
}>

const TokenText = Type.Optional(Type.Union([Type.String(), Type.Object({ content: Type.String() }), Type.Null()]))
const Flag = Type.Optional(Type.Union([Type.Boolean(), Type.Null()]))
const Template = Type.Union([Type.String(), Type.Array(Type.Object({ name: Type.String(), template: Type.String() }))])
const File = Type.Object({
  bos_token: TokenText,
  eos_token: TokenText,
  unk_token: TokenText,
  pad_token: TokenText,
  add_bos_token: Flag,
  add_eos_token: Flag,
  add_prefix_space: Flag,
  added_tokens_decoder: Type.Optional(
    Type.Record(Type.String(), Type.Object({ content: Type.String(), special: Type.Optional(Type.Boolean()) })),
  ),
  chat_template: Type.Optional(Type.Union([Template, Type.Null()])),
})

const names = ['bos', 'eos', 'unk', 'pad'] as const

/** Reads tokenizer_config.json and the chat template beside it; a checkpoint may have neither. Throws `invalid` when damaged. */
export async function readTokenizerSettings(folder: string): Promise<TokenizerSettings> {
  const file = (await findJson(folder, 'tokenizer_config.json', File)) ?? {}
  return {
    special: new Map(
      names.flatMap((name) => {
        const token = file[`${name}_token`]
        const text = typeof token === 'string' ? token : token?.content
        return text === undefined ? [] : [[name, text] as const]
      }),
    ),
    addsBos: file.add_bos_token ?? undefined,
    addsEos: file.add_eos_token ?? undefined,
    addsPrefixSpace: file.add_prefix_space ?? undefined,
    added: Object.entries(file.added_tokens_decoder ?? {}).flatMap(([id, { content, special = false }]) =>
      /^\d+$/.test(id) ? [{ id: Number(id), content, special }] : [],
    ),
    chatTemplates: await readTemplates(folder, file.chat_template ?? undefined),
  }
}

/** As transformers does: a file of its own counts before tokenizer_config.json. */
async function readTemplates(
  folder: string,
  inConfig: Type.Static<typeof Template> | undefined,
): Promise<ReadonlyMap<string, string>> {
  const jinja = await findBytes(folder, 'chat_template.jinja')
  if (jinja !== undefined) return new Map([['default', jinja.toString('utf8')]])
  const json = await findJson(folder, 'chat_template.json', Type.Object({ chat_template: Template }))
  const template = json?.chat_template ?? inConfig ?? []
  return typeof template === 'string'
    ? new Map([['default', template]])
    : new Map(template.map((one) => [one.name, one.template]))
}

/** The keys of a GGUF file for the chat templates. */
export function templateMetadata({ chatTemplates }: TokenizerSettings): ReadonlyArray<readonly [string, GgufValue]> {
  const others = [...chatTemplates.keys()].filter((name) => name !== 'default' && /^[\w-]+$/.test(name))
  const usual = chatTemplates.get('default')
  return [
    ...(usual === undefined ? [] : [['tokenizer.chat_template', { type: 'string', value: usual }] as const]),
    ...(others.length === 0 ? [] : [['tokenizer.chat_templates', { type: 'array', of: 'string', values: others }] as const]),
    ...others.map(
      (name) => [`tokenizer.chat_template.${name}`, { type: 'string', value: chatTemplates.get(name) ?? '' }] as const,
    ),
  ]
}

const Processor = Type.Object({
  type: Type.String(),
  processors: Type.Optional(Type.Array(Type.Unknown())),
  single: Type.Optional(Type.Array(Type.Object({ SpecialToken: Type.Optional(Type.Object({ id: Type.String() })) }))),
})

/** Which special tokens tokenizer.json puts before and after a text, by their texts. */
export function findWrapping(postProcessor: unknown): Readonly<{ first: string | undefined; last: string | undefined }> {
  if (!Value.Check(Processor, postProcessor)) return { first: undefined, last: undefined }
  for (const step of [postProcessor, ...(postProcessor.processors ?? [])]) {
    if (!Value.Check(Processor, step) || step.type !== 'TemplateProcessing') continue
    const single = step.single ?? []
    return { first: single[0]?.SpecialToken?.id, last: single.at(-1)?.SpecialToken?.id }
  }
  return { first: undefined, last: undefined }
}
