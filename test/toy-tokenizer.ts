import type { PromptPart } from '../src/engine/chat-template.ts'
import type { ExampleTokenizer } from '../src/engine/train/example-tokens.ts'

/** One token for each control token, in their order, then one for each UTF-16 unit. Models with more than a test needs to see. */
export function createToyTokenizer(controlTokens: readonly string[], ends: readonly string[]) {
  const endTokens = new Set(ends.map((text) => controlTokens.indexOf(text)))
  function* read(text: string, special: boolean): Generator<number> {
    for (let at = 0; at < text.length; ) {
      const control = special ? controlTokens.findIndex((token) => text.startsWith(token, at)) : -1
      yield control < 0 ? controlTokens.length + text.charCodeAt(at) : control
      at += control < 0 ? 1 : (controlTokens[control]?.length ?? 1)
    }
  }
  const tokenizer: ExampleTokenizer = {
    tokenize: (parts: readonly PromptPart[]) => parts.flatMap(({ text, special }) => [...read(text, special)]),
    bos: 0,
    eos: 1,
    isEndOfGeneration: (token) => endTokens.has(token),
  }
  const decode = (tokens: Iterable<number>) =>
    [...tokens].map((token) => controlTokens[token] ?? String.fromCharCode(token - controlTokens.length)).join('')
  return { tokenizer, decode }
}
