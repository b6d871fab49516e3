import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { AppError } from '../../errors.ts'
import type { TokenizerJson } from './tokenizer-json.ts'

const Step = Type.Object({
  type: Type.String(),
  use_regex: Type.Optional(Type.Boolean()),
  add_prefix_space: Type.Optional(Type.Boolean()),
  individual_digits: Type.Optional(Type.Boolean()),
  behavior: Type.Optional(Type.String()),
  invert: Type.Optional(Type.Boolean()),
  pattern: Type.Optional(Type.Unknown()),
})
type Step = Type.Static<typeof Step>
const Sequence = Type.Object({ type: Type.Literal('Sequence'), pretokenizers: Type.Array(Step) })
const Regex = Type.Object({ Regex: Type.String() })

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
const ending = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]'
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]'
const words = (suffix: string) =>
  `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+${suffix}|[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*${suffix}`

/** The patterns by which known tokenizers split a text, and what llama.cpp calls each; see src/llama-vocab.cpp there. */
const patterns: ReadonlyArray<Readonly<{ name: string; pattern: string; ignoresMerges: boolean }>> = [
  {
    name: 'llama-bpe',
    ignoresMerges: true,
    pattern: `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${ending}`,
  },
  {
    name: 'smaug-bpe',
    ignoresMerges: false,
    pattern: `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${ending}`,
  },
  {
    name: 'qwen2',
    ignoresMerges: false,
    pattern: `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${ending}`,
  },
  { name: 'tekken', ignoresMerges: true, pattern: `${words('')}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${ending}` },
  {
    name: 'gpt-4o',
    ignoresMerges: false,
    pattern: `${words(`${contractions}?`)}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${ending}`,
  },
]

/** Whether tokens are bytes in GPT-2's letters. */
export function isByteLevel({ preTokenizer }: TokenizerJson): boolean {
  return listSteps(preTokenizer).some(({ type }) => type === 'ByteLevel')
}

/**
 * llama.cpp's name for the way in which the tokenizer splits a text before it merges. Throws `invalid` for a way that it does
 * not have: the model would see other tokens than it was trained on.
 */
export function recognizePreTokenizer(tokenizer: TokenizerJson): string {
  const steps = listSteps(tokenizer.preTokenizer)
  const [first, last] = [steps[0], steps.at(-1)]
  if (last?.type !== 'ByteLevel' || last.add_prefix_space === true) throw unknown(tokenizer)
  const usesRegex = last.use_regex ?? true
  if (steps.length === 1 && usesRegex && !tokenizer.ignoresMerges) return 'gpt-2'
  if (steps.length !== 2 || first === undefined) throw unknown(tokenizer)
  if (first.type === 'Digits' && first.individual_digits === true && usesRegex && !tokenizer.ignoresMerges) return 'smollm'
  const pattern = first.type === 'Split' && !usesRegex ? patternOf(first) : undefined
  const found = patterns.find((one) => one.pattern === pattern && one.ignoresMerges === tokenizer.ignoresMerges)
  if (found !== undefined) return found.name
  throw unknown(tokenizer)
}

function patternOf({ pattern, behavior, invert }: Step): string | undefined {
  // Isolated, or its counterpart that some exporters write: keep what matches as pieces.
  const keepsMatches = (behavior === 'Isolated' && invert !== true) || (behavior === 'Removed' && invert === true)
  return keepsMatches && Value.Check(Regex, pattern) ? pattern.Regex : undefined
}

function listSteps(value: unknown): readonly Step[] {
  if (Value.Check(Sequence, value)) return value.pretokenizers
  return Value.Check(Step, value) ? [value] : []
}

function unknown({ preTokenizer }: TokenizerJson): AppError {
  const shown = String(JSON.stringify(preTokenizer)).slice(0, 500)
  const known = ['GPT-2', 'SmolLM', 'Llama 3', 'Qwen 2', 'Mistral Nemo', 'GPT-4o'].join(', ')
  return new AppError(
    'invalid',
    `tokenizer.json splits texts in a way that llama.cpp does not know here (known: ${known}): ${shown}`,
  )
}
