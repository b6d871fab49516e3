import type { ChatBody } from '../../src/client.ts'
import { createRandom } from '../../src/engine/local/random.ts'
import type { ErrorCode } from '../../src/errors.ts'
import type { PredictBody } from '../../src/predict/schema.ts'
import { createPrompts, type Prompts } from '../prompts.ts'

/** How a request goes: to /predict, streamed or whole, or as a conversation to the OpenAI dialect, streamed. */
export type Send = Readonly<{ way: 'stream' | 'whole'; body: PredictBody }> | Readonly<{ way: 'chat'; body: ChatBody }>

/** What must come of a request beyond an answer. */
type Expected = Readonly<{
  /** Its place in `knownQuestions`, where the right answer is known. */
  knownIndex?: number
  /** When the client goes away: after a time, or when so many pieces of text have come. */
  leave?: Readonly<{ afterMs?: number; afterPieces?: number }>
  /** The error that must come. */
  refusal?: ErrorCode
}>

export type Question = Send & Expected
/** One request of the load. */
export type Asked = Question & Readonly<{ kind: Kind }>

export const kindNames = [
  'known, streamed',
  'known, whole',
  'known, cached',
  'short answer',
  'long answer',
  'long prompt',
  'several choices',
  'JSON schema',
  'stop text',
  'chat',
  'leaves at the start',
  'leaves in the middle',
  'leaves a whole answer',
  'leaves at the end',
  'invalid body',
  'prompt too long',
  'unknown model',
] as const
export type Kind = (typeof kindNames)[number]

const person = {
  type: 'object',
  properties: { name: { type: 'string', maxLength: 30 }, age: { type: 'integer', minimum: 0, maximum: 120 } },
  required: ['name', 'age'],
  additionalProperties: false,
}

/** Questions whose answer is the same each time, alone and beside others: they take the likeliest token each time, or have a seed. */
export const knownQuestions: readonly PredictBody[] = createKnownQuestions(createPrompts(2025))

function createKnownQuestions({ text, repeated }: Prompts): readonly PredictBody[] {
  return [
    { prompt: 'The capital of Spain is', max_length: 24, temperature: 0 },
    { prompt: 'Érase una vez un gato que', max_length: 64, temperature: 0 },
    { prompt: text(40), max_length: 64, temperature: 0 },
    { prompt: text(100), max_length: 128, temperature: 0 },
    { prompt: text(300), max_length: 48, temperature: 0, repeat_penalty: 1.1 },
    { prompt: text(1200), max_length: 32, temperature: 0 },
    { prompt: repeated(150), max_length: 100, temperature: 0 },
    { prompt: `A long story. ${text(20)}`, max_length: 320, temperature: 0 },
    { prompt: 'The history of the city began', max_length: 100, temperature: 0, stop: ['.', '\n'] },
    { prompt: 'A person, as JSON: ', max_length: 60, temperature: 0, json_schema: person },
    { prompt: text(60), max_length: 40, temperature: 0, num_return_sequences: 3 },
    { prompt: text(50), max_length: 80, temperature: 0.8, seed: 12_345 },
    { prompt: 'A list of emoji: 🎉 🌍 😀', max_length: 60, temperature: 1, top_k: 0, seed: 99 },
  ]
}

type Dice = Readonly<{
  prompts: Prompts
  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number
}>

/** How often a kind comes, as its part of the sum of all shares, and a request of it. */
type Making = Readonly<{ share: number; make(dice: Dice): Question }>

const kinds: Readonly<Record<Kind, Making>> = {
  'known, streamed': { share: 18, make: knownStream },
  'known, whole': { share: 12, make: knownWhole },
  'known, cached': { share: 8, make: (dice) => known(dice, () => true, 'whole') },
  'short answer': { share: 14, make: ({ prompts, between }) => stream(prompts.text(between(5, 60)), between(8, 60)) },
  'long answer': { share: 8, make: ({ prompts, between }) => stream(prompts.text(between(20, 100)), between(300, 600)) },
  'long prompt': { share: 5, make: ({ prompts, between }) => stream(prompts.text(between(1000, 3000)), between(8, 40)) },
  'several choices': {
    share: 5,
    make: ({ prompts, between }) =>
      whole({ prompt: prompts.text(30), max_length: between(20, 80), num_return_sequences: between(2, 4) }),
  },
  'JSON schema': {
    share: 5,
    make: ({ prompts }) => whole({ prompt: `${prompts.text(20)}\nJSON: `, max_length: 80, json_schema: person }),
  },
  'stop text': {
    share: 4,
    make: ({ prompts }) => whole({ prompt: prompts.text(30), max_length: 150, stop: ['.', ' the', '\n\n'] }),
  },
  chat: {
    share: 4,
    make({ prompts, between }) {
      const messages = [{ role: 'user' as const, content: prompts.text(between(10, 80)) }]
      return { way: 'chat', body: { messages, max_tokens: between(20, 80) } }
    },
  },
  'leaves at the start': {
    share: 5,
    make: ({ prompts, between }) => ({ ...stream(prompts.text(between(500, 1500)), 100), leave: { afterMs: between(0, 400) } }),
  },
  'leaves in the middle': {
    share: 4,
    make: (dice) => ({ ...knownStream(dice), leave: { afterPieces: dice.between(1, 30) } }),
  },
  'leaves a whole answer': {
    share: 3,
    make: (dice) => ({ ...knownWhole(dice), leave: { afterMs: dice.between(50, 3000) } }),
  },
  'leaves at the end': {
    share: 3,
    make({ prompts, between }) {
      const pieces = between(20, 60)
      return { ...stream(prompts.text(20), pieces), leave: { afterPieces: pieces - between(0, 1) } }
    },
  },
  'invalid body': {
    share: 3,
    make: ({ prompts }) => ({ ...whole({ prompt: prompts.text(10), temperature: 9 }), refusal: 'invalid' }),
  },
  'prompt too long': {
    share: 2,
    make: ({ prompts }) => ({ ...stream(prompts.text(6000), 20), refusal: 'context_length_exceeded' }),
  },
  'unknown model': {
    share: 2,
    make: ({ prompts }) => ({ ...whole({ prompt: prompts.text(10), model: 'no-such-model' }), refusal: 'not_found' }),
  },
}

const stream = (prompt: string, tokens: number): Send => ({ way: 'stream', body: { prompt, max_length: tokens } })
const whole = (body: PredictBody): Send => ({ way: 'whole', body })

function knownStream(dice: Dice) {
  return known(dice, ({ num_return_sequences = 1 }) => num_return_sequences === 1, 'stream')
}

/** Another seed changes nothing at temperature 0, and makes it a question that no cache has an answer to. */
function knownWhole(dice: Dice) {
  return known(dice, ({ temperature }) => temperature === 0, 'whole', { seed: dice.between(0, 2 ** 31) })
}

function known(
  { between }: Dice,
  fits: (body: PredictBody) => boolean,
  way: 'stream' | 'whole',
  more: Partial<PredictBody> = {},
) {
  const fitting = [...knownQuestions.entries()].filter(([, body]) => fits(body))
  const [knownIndex, body] = fitting[between(0, fitting.length - 1)] ?? [0, { prompt: '' }]
  return { way, body: { ...body, ...more }, knownIndex }
}

/** Draws one request after the other; the same ones for the same seed. */
export function createRequests(seed: number): () => Asked {
  const random = createRandom(seed)
  const between = (least: number, most: number) => least + Math.floor(random() * (most - least + 1))
  const dice = { prompts: createPrompts(seed), between }
  const drawn = kindNames.flatMap((kind) => Array.from({ length: kinds[kind].share }, () => kind))
  return () => {
    const kind = drawn[between(0, drawn.length - 1)] ?? 'short answer'
    return { ...kinds[kind].make(dice), kind }
  }
}
