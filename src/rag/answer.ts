import type { Collection, PassageQuery } from '../embed/collection.ts'
import type { Embedder, Reranker } from '../engine/embedder.ts'
import type { ChatMessage, FinishReason, SamplingParameters, Timings, Usage } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import type { Asker, OpenAnswer, Predict, Target } from '../predict/predict.ts'
import { createCitationFilter, type Sentence, toSentences, withResolving } from './citations.ts'
import { answerStops, type Language, languageOf, nothingFound, toMessages } from './prompt.ts'
import type { Retrieval, RetrievalMode, Retrieve, Source } from './retrieve.ts'
import { toQueries } from './standalone-question.ts'
import { type CheckedSentence, checkSupport } from './support.ts'

export type AnswerRequest = Readonly<{
  collection: Collection
  question: string
  /** Earlier turns of the conversation. */
  history: readonly ChatMessage[]
  mode: RetrievalMode
  k: number
  filter: PassageQuery['filter']
  reranker: Reranker | undefined
  /** Where no passage is this near to the question (as a cosine), the documents do not tell. */
  threshold: number
  /** Whether the model is asked; otherwise only the sources are found. */
  wantsAnswer: boolean
  maxTokens: number
  sampling: SamplingParameters
  stop: readonly string[]
  model: string | undefined
  provider: string | undefined
  /** Whether the answer may be remembered. */
  remember: boolean
}>

/** What was looked for and found, before the model writes. */
export type SourcesFound = Readonly<{
  type: 'sources-found'
  queries: readonly string[]
  sources: readonly Source[]
  retrieval: Retrieval
  /** What goes before the model; empty when it is not asked. */
  messages: readonly ChatMessage[]
}>

export type AnswerEnd = Readonly<{
  type: 'answer-end'
  /** Undefined where the model was not asked. */
  predictionId: string | undefined
  text: string
  /** Whether the documents do not tell, by what was found or by what the model says. */
  abstained: boolean
  sentences: readonly CheckedSentence[]
  reason: FinishReason
  /** Undefined where the model was not asked. */
  usage: Usage | undefined
  timings: Timings | undefined
  target: Target
}>

export type AnswerEvent = SourcesFound | Readonly<{ type: 'text-delta'; text: string }> | AnswerEnd

export type AnswerParts = Readonly<{
  predict: Pick<Predict, 'choose' | 'complete' | 'open'>
  retrieve: Retrieve
  /** The model of a collection's vectors. Throws `conflict` when it is there no more. */
  findEmbedder: (collection: Collection) => Promise<Pick<Embedder, 'encode'>>
  /** Tokens of the context window of what answers. */
  contextSizeOf: (target: Pick<Target, 'provider' | 'model'>) => Promise<number>
}>

export type Answer = (request: AnswerRequest, asker: Asker, signal: AbortSignal) => AsyncGenerator<AnswerEvent>

/** A token has at least so many characters in most languages and in code; where it has fewer, sources are left out until they fit. */
const charactersPerToken = 3

/**
 * Answers from a collection. The first event is `sources-found`, the last is `answer-end`; text comes between, with citations that
 * resolve. Throws what retrieval and the model throw, and `context_length_exceeded` when the question leaves no room for a source.
 */
export function createAnswer(parts: AnswerParts): Answer {
  return async function* answer(request, asker, signal) {
    const { history, question } = request
    const conversation = conversationOf(request)
    const target = await parts.predict.choose({ ...request, conversation }, asker)
    const queries = await toQueries({ ...parts, ...request, conversation }, history, question, asker, signal)
    const room = await roomForSources(parts, request, target)
    const retrieval = await parts.retrieve({ ...request, queries, mostCharacters: room }, signal)
    const language = languageOf(question)
    const isTold = (retrieval.bestCosine ?? 1) >= request.threshold && retrieval.sources.length > 0
    if (!request.wantsAnswer || !isTold) {
      const sources = request.wantsAnswer ? [] : retrieval.sources
      yield { type: 'sources-found', queries, sources, retrieval, messages: [] }
      const text = request.wantsAnswer ? nothingFound[language] : ''
      if (text !== '') yield { type: 'text-delta', text }
      const unasked = { predictionId: undefined, usage: undefined, timings: undefined } as const
      const nothing = { sentences: [], reason: 'stop', ...unasked } as const
      yield { type: 'answer-end', text, abstained: request.wantsAnswer, ...nothing, target }
      return
    }
    const { opened, sources, messages } = await begin(
      parts,
      { request, sources: retrieval.sources, language, target, asker },
      signal,
    )
    await using _disposed = opened
    yield { type: 'sources-found', queries, sources, retrieval, messages }
    yield* write(parts, { ...opened, sources, language, collection: request.collection }, signal)
  }
}

/** Its prompts all begin alike, and the first question stands among its sources. */
function conversationOf({ history, question }: Pick<AnswerRequest, 'history' | 'question'>): string {
  return history.find(({ role }) => role === 'user')?.content ?? question
}

async function roomForSources({ contextSizeOf }: AnswerParts, request: AnswerRequest, target: Target): Promise<number> {
  const contextSize = await contextSizeOf(target)
  const { history, question, maxTokens } = request
  const fixed = toMessages({ language: languageOf(question), history, sources: [], question })
  const fixedTokens = fixed.reduce((sum, { content }) => sum + content.length / charactersPerToken + 8, 0)
  // An answer may end the context, but it should have half of what is left at most.
  const left = contextSize - fixedTokens
  return Math.max(0, charactersPerToken * (left - Math.min(maxTokens, left / 2)))
}

type Beginning = Readonly<{
  request: AnswerRequest
  sources: readonly Source[]
  language: Language
  /** What is asked first. */
  target: Target
  asker: Asker
}>

type Begun = Readonly<{ opened: OpenAnswer; sources: readonly Source[]; messages: readonly ChatMessage[] }>

/** Starts the model's answer. Where the prompt turns out too long, the last source is left out, until one is left. */
async function begin(
  parts: AnswerParts,
  { request, sources, language, target, asker }: Beginning,
  signal: AbortSignal,
): Promise<Begun> {
  const { history, question, maxTokens, sampling, model, provider, remember } = request
  // Models of the clouds know turns, and some of them take no stops.
  const stop = target.ranOn === 'cloud' ? request.stop : [...request.stop, ...answerStops]
  const shown = sources.map(({ number, name, place, text }) => ({ number, name, page: place.page, section: place.section, text }))
  for (let count = shown.length; ; count -= 1) {
    const messages = toMessages({ language, history, sources: shown.slice(0, count), question })
    const prompt = { type: 'chat', messages } as const
    try {
      const conversation = conversationOf(request)
      const toShown = (text: string) => withResolving(text, count)
      const asked = { prompt, maxTokens, choices: 1, sampling, stop, model, provider, remember, question, toShown, conversation }
      const opened = await parts.predict.open(asked, asker, signal)
      return { opened, sources: sources.slice(0, count), messages }
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'context_length_exceeded' || count <= 1) throw error
    }
  }
}

type Writing = Pick<OpenAnswer, 'id' | 'events' | 'target'> &
  Readonly<{ sources: readonly Source[]; language: Language; collection: Collection }>

async function* write(parts: AnswerParts, writing: Writing, signal: AbortSignal): AsyncGenerator<AnswerEvent> {
  const { id, events, sources, target, language, collection } = writing
  const filter = createCitationFilter(sources.length)
  let text = ''
  let reason: FinishReason = 'stop'
  for await (const event of events) {
    const piece = event.type === 'text-delta' ? filter.push(event.text) : event.type === 'choice-end' ? filter.end() : ''
    text += piece
    if (piece !== '') yield { type: 'text-delta', text: piece }
    if (event.type === 'choice-end') reason = event.reason
    if (event.type !== 'generation-end') continue
    const abstained = text.trim().startsWith(nothingFound[language])
    const sentences = abstained ? [] : await check(parts, toSentences(text), { sources, collection }, signal)
    const { usage, timings } = event
    yield { type: 'answer-end', predictionId: id, text, abstained, sentences, reason, usage, timings, target }
  }
}

type Checked = Readonly<{ sources: readonly Source[]; collection: Collection }>

/** The answer is there already: where it cannot be checked, it is given unchecked. */
async function check(
  { findEmbedder }: AnswerParts,
  sentences: readonly Sentence[],
  { sources, collection }: Checked,
  signal: AbortSignal,
): Promise<readonly CheckedSentence[]> {
  const texts = sources.map(({ text }) => text)
  const encode = async (wanted: readonly string[]) =>
    (await (await findEmbedder(collection)).encode({ texts: wanted, truncate: true }, signal)).vectors
  try {
    return await checkSupport({ encode }, sentences, texts)
  } catch (error) {
    if (signal.aborted) throw error
    return sentences.map((sentence) => ({ ...sentence, supported: undefined, support: 0, nearest: undefined }))
  }
}
