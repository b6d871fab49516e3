import type { FastifyReply } from 'fastify'
import type { ErrorCode } from '../errors.ts'

/** Where an answer comes from, and why from there. */
export type AnswerOrigin = Readonly<{
  /** Of the prediction: what feedback names. */
  id: string
  provider: string
  model: string
  ranOn: 'local' | 'cloud'
  why: string
  /** Who was asked before, and what stopped them. */
  passedBy: ReadonlyArray<Readonly<{ provider: string; code: ErrorCode }>>
}>

/**
 * Tells it in headers, for answers whose dialect has no field for it: `x-simpleia-provider`, `-model`, `-ran-on` (`local` or `cloud`),
 * `-why` (`requested`, `default` or `fallback`), `-prediction-id` and, after a fallback, `-passed-by` (`PROVIDER=ERROR CODE`, in the
 * order asked).
 */
export function setOriginHeaders(reply: FastifyReply, { id, provider, model, ranOn, why, passedBy }: AnswerOrigin): void {
  reply.headers({
    'x-simpleia-provider': toHeader(provider),
    'x-simpleia-model': toHeader(model),
    'x-simpleia-ran-on': ranOn,
    'x-simpleia-why': why,
    'x-simpleia-prediction-id': id,
  })
  if (passedBy.length > 0)
    reply.header('x-simpleia-passed-by', passedBy.map((one) => `${toHeader(one.provider)}=${one.code}`).join(', '))
}

/** Half a character has no bytes to write. */
const toHeader = (name: string) => encodeURI(name.toWellFormed())
