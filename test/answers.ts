import type { CompletionChoice } from '../src/predict/collect.ts'

/** An answer that is text and nothing else. */
export function textChoice(text: string, index = 0): CompletionChoice {
  const nothing = { reasoning: '', reasoningSignature: undefined, toolCalls: [], tokens: [], stopText: undefined }
  return { index, text, reason: 'stop', ...nothing }
}
