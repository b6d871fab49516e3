import { resolveSampling } from '../engine/sampling.ts'
import { AppError } from '../errors.ts'
import type { PredictRequest } from './predict.ts'
import { type PredictBody, predictDefaults } from './schema.ts'

/** The request of the wire, with the defaults filled in. */
export function toPredictRequest(body: Omit<PredictBody, 'stream'>): PredictRequest {
  const { stop = [], json_schema: schema } = body
  return {
    prompt: { type: 'text', text: body.prompt },
    maxTokens: body.max_length ?? predictDefaults.maxTokens,
    choices: body.num_return_sequences ?? predictDefaults.choices,
    sampling: {
      ...resolveSampling(
        {
          temperature: body.temperature,
          topP: body.top_p,
          topK: body.top_k,
          minP: body.min_p,
          repeatPenalty: body.repeat_penalty,
        },
        predictDefaults,
      ),
      seed: body.seed,
    },
    stop: typeof stop === 'string' ? [stop] : stop,
    ...(schema === undefined ? {} : { format: { type: 'json-schema', schema, field: 'json_schema' } }),
    model: body.model,
    provider: body.provider,
    ...(body.store === undefined ? {} : { remember: body.store }),
  }
}

/** Several answers cannot share one stream of plain text: nobody could tell them apart. */
export function refuseManyStreams(choices: number): void {
  if (choices === 1) return
  throw new AppError('invalid', 'Only one answer can be streamed: the pieces of several could not be told apart.', {
    details: [{ field: 'num_return_sequences', expected: '1 when stream is true', got: String(choices) }],
  })
}
