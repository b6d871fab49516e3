import type { ChatMessage, FinishReason, Timings, Usage } from '../engine/provider.ts'
import type { SampledBy } from '../engine/sampling.ts'
import type { Asker, Predict, Target } from '../predict/predict.ts'
import type { Owner } from './owner.ts'
import type { ConversationSettings, MessageAnswer, MessageSource } from './schema.ts'
import { type Asked, sampledBy, toHistory, toPredictRequest } from './to-prompt.ts'

/** What happens to an answer that is being written, from whatever it comes. */
export type AnswerEvent =
  /** What will answer first, as far as is known; before anything is waited for. */
  | Readonly<{ type: 'chosen'; target: Pick<Target, 'provider' | 'model' | 'ranOn'> }>
  | Readonly<{ type: 'begun'; predictionId: string; target: Target }>
  | Readonly<{ type: 'text' | 'reasoning'; text: string }>
  | Readonly<{ type: 'tool-call'; index: number; id: string; name: string }>
  | Readonly<{ type: 'tool-arguments'; index: number; text: string }>
  | Readonly<{ type: 'sources'; sources: MessageSource[] }>
  | AnswerEnd

export type AnswerEnd = Readonly<{
  type: 'end'
  reason: FinishReason
  /** Undefined where no model was asked. */
  predictionId: string | undefined
  target: Target
  usage: Usage | undefined
  timings: Timings | undefined
  unsupported?: MessageAnswer['unsupported']
}>

/** A question to documents. */
export type DocumentsRequest = Readonly<{
  collection: string
  owner: Owner
  question: string
  history: readonly ChatMessage[]
  sampled: SampledBy
  settings: Pick<ConversationSettings, 'model' | 'provider' | 'seed' | 'max_length'>
}>

export type WriteParts = Readonly<{
  predict: Pick<Predict, 'choose' | 'open'>
  /** Answers from documents. Throws `not_found` where the asker has no such collection. */
  askDocuments: (request: DocumentsRequest, asker: Asker, signal: AbortSignal) => AsyncIterable<AnswerEvent>
}>

export type WriteRequest = Asked & Readonly<{ owner: Owner; asker: Asker }>

/** Writes one answer; the last event is always `end`. Throws what answers throw. */
export async function* writeAnswer(parts: WriteParts, request: WriteRequest, signal: AbortSignal): AsyncGenerator<AnswerEvent> {
  const { settings, asker, conversationId } = request
  const { model, provider } = settings
  const target = await parts.predict.choose({ model, provider, conversation: conversationId }, asker)
  yield { type: 'chosen', target }
  if (settings.collection !== undefined) yield* fromDocuments(parts, request, settings.collection, signal)
  else yield* fromModel(parts, request, target.ranOn, signal)
}

function fromDocuments(
  { askDocuments }: WriteParts,
  { settings, branch, owner, asker }: WriteRequest,
  collection: string,
  signal: AbortSignal,
): AsyncIterable<AnswerEvent> {
  const question = branch.at(-1)?.content ?? ''
  const history = toHistory(branch.slice(0, -1))
  return askDocuments({ collection, owner, question, history, sampled: sampledBy(settings), settings }, asker, signal)
}

async function* fromModel(
  { predict }: WriteParts,
  request: WriteRequest,
  ranOn: Target['ranOn'],
  signal: AbortSignal,
): AsyncGenerator<AnswerEvent> {
  await using opened = await predict.open(toPredictRequest(request, ranOn), request.asker, signal)
  const { id: predictionId, target, events } = opened
  yield { type: 'begun', predictionId, target }
  let reason: FinishReason = 'stop'
  for await (const event of events)
    switch (event.type) {
      case 'text-delta':
        if (event.text !== '') yield { type: 'text', text: event.text }
        break
      case 'reasoning-delta':
        if (event.text !== '') yield { type: 'reasoning', text: event.text }
        break
      case 'tool-call-start':
        yield { type: 'tool-call', index: event.call, id: event.id, name: event.name }
        break
      case 'tool-call-delta':
        yield { type: 'tool-arguments', index: event.call, text: event.text }
        break
      case 'choice-end':
        reason = event.reason
        break
      case 'generation-end':
        yield { type: 'end', reason, predictionId, target, usage: event.usage, timings: event.timings }
    }
}
