import type { PromptPart } from '../chat-template-tokens.ts'
import type { AdapterFile } from './protocol.ts'

/** One row of a batch: a token, its place in its sequence, and whether what follows it is to be predicted. */
export type BatchRow = Readonly<{ token: number; position: number; sequence: number; output: boolean }>

/** Checks that tokens follow a grammar. Holds memory of the library until closed. */
export interface GrammarState {
  /** Whether the grammar allows each of these tokens next; the answer has their order. */
  allowed(tokens: readonly number[]): readonly boolean[]
  accept(token: number): void
  /** Whether what was accepted is whole. */
  canEnd(): boolean
  close(): void
}

/**
 * What the scheduler needs of a loaded model: the llama.cpp library in the product, a script in tests.
 * Positions and sizes are counted in tokens.
 */
export interface Backend {
  /** Tokens that one request may take, prompt and answer together. */
  readonly contextSize: number
  /** Tokens that all sequences together can hold in memory. */
  readonly cacheSize: number
  /** Sequence numbers run from 0 to this, exclusive. */
  readonly sequences: number
  /** Rows of one batch at most. */
  readonly batchSize: number
  /** Rows with output of one batch at most. */
  readonly mostOutputs: number
  /** The attention window in tokens, or 0 when every token sees all before it. */
  readonly slidingWindow: number
  /** How many tokens two sequences must begin alike with at least, so that sharing them is faster than to compute them again. */
  readonly worthSharing: number
  /** Brings an adapter into memory. Throws `invalid` when it is none, or is not made for this model. */
  loadAdapter(adapter: AdapterFile): void
  /** Puts the loaded adapter of this identity on the model for the batches to come; undefined: none. */
  useAdapter(identity: string | undefined): void
  /** With BOS once at the start, when the model wants one. */
  tokenize(prompt: readonly PromptPart[]): readonly number[]
  /** The bytes of a token; empty for control tokens. */
  piece(token: number): Uint8Array
  /** The name of a control token, for example `<end_of_turn>`; empty for others. */
  controlText(token: number): string
  /** Whether the token ends an answer. */
  isEnd(token: number): boolean
  /**
   * Evaluates rows. False when the memory for sequences is full: nothing was changed. Throws when the model fails.
   * `exactly`: a row must get the same scores whichever other rows are in the batch.
   */
  evaluate(rows: readonly BatchRow[], exactly: boolean): boolean
  /** About how many milliseconds a batch of so many rows takes that all have output; 0 as long as nothing is known. */
  stepCost(rows: number): number
  /**
   * The scores of the row that has this index among the last batch: `[vocabulary]`.
   * A view into the library's memory, valid until the next `evaluate`; may be written to.
   */
  scores(row: number): Float32Array
  /** Makes `target` begin with the first `length` tokens of `source`, in the same cells, in the place of its own. */
  copySequence(source: number, target: number, length: number): void
  /** Forgets the tokens of a sequence from this position on. */
  truncateSequence(sequence: number, position: number): void
  /** What `restoreSequence` needs to bring the tokens of a sequence back. */
  saveSequence(sequence: number): Uint8Array
  /** Brings saved tokens into an empty sequence, in cells that are free now, in their order. False when there are not enough. */
  restoreSequence(sequence: number, saved: Uint8Array): boolean
  /** The first position of the sequence that is still in memory, or -1 when it is empty. */
  firstPosition(sequence: number): number
  /** GBNF; `root`: the rule that it begins with, if it is not `root`. Throws `invalid` when the grammar does not parse. */
  createGrammar(grammar: string, root?: string): GrammarState
  close(): void
}
