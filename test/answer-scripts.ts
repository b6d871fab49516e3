import type { GenerateEvent, TokenLogprob } from '../src/engine/provider.ts'
import { generationEnd } from './scripted-host.ts'

/** A token of an answer, with the two likeliest in its place. */
export function tokenOf(text: string, logprob = -0.5): TokenLogprob {
  const bytes = [...Buffer.from(text)]
  return {
    text,
    bytes,
    logprob,
    top: [
      { text, bytes, logprob },
      { text: 'other', bytes: [...Buffer.from('other')], logprob: Number.NEGATIVE_INFINITY },
    ],
  }
}

/** One text in pieces, to its end. */
export const saying = (...pieces: string[]): GenerateEvent[] => [
  ...pieces.map((text) => ({ type: 'text-delta', index: 0, text }) as const),
  { type: 'choice-end', index: 0, reason: 'stop' },
  generationEnd(),
]

/** Calls of functions, with their arguments in two pieces each. */
export const calling = (...calls: ReadonlyArray<readonly [id: string, name: string, written: string]>): GenerateEvent[] => [
  ...calls.flatMap(([id, name, written], call): GenerateEvent[] => [
    { type: 'tool-call-start', index: 0, call, id, name },
    { type: 'tool-call-delta', index: 0, call, text: written.slice(0, 5) },
    { type: 'tool-call-delta', index: 0, call, text: written.slice(5) },
  ]),
  { type: 'choice-end', index: 0, reason: 'tool-calls' },
  generationEnd(),
]
