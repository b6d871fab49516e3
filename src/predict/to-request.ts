import { AppError } from '../errors.ts'
import type { PredictRequest } from './predict.ts'
import { type PredictBody, predictDefaults } from './schema.ts'

/** A GBNF grammar for the answers that a JSON schema allows; throws `invalid` for a schema it cannot keep to. */
export type JsonSchemaToGrammar = (schema: Readonly<Record<string, unknown>>) => string

/** The request of the wire, with the defaults filled in. Throws `invalid`. */
export function toPredictRequest(body: Omit<PredictBody, 'stream'>, jsonSchemaToGrammar: JsonSchemaToGrammar): PredictRequest {
  const { stop = [] } = body
  return {
    prompt: { type: 'text', text: body.prompt },
    maxTokens: body.max_length ?? predictDefaults.maxTokens,
    choices: body.num_return_sequences ?? predictDefaults.choices,
    sampling: {
      temperature: body.temperature ?? predictDefaults.temperature,
      topP: body.top_p ?? predictDefaults.topP,
      topK: body.top_k ?? predictDefaults.topK,
      minP: body.min_p ?? predictDefaults.minP,
      repeatPenalty: body.repeat_penalty ?? predictDefaults.repeatPenalty,
      seed: body.seed,
    },
    stop: typeof stop === 'string' ? [stop] : stop,
    grammar: body.json_schema === undefined ? undefined : jsonSchemaToGrammar(body.json_schema),
    model: body.model,
    provider: body.provider,
  }
}

/** Several answers cannot share one stream of plain text: nobody could tell them apart. */
export function refuseManyStreams(choices: number): void {
  if (choices === 1) return
  throw new AppError('invalid', 'Only one answer can be streamed: the pieces of several could not be told apart.', {
    details: [{ field: 'num_return_sequences', expected: '1 when stream is true', got: String(choices) }],
  })
}
