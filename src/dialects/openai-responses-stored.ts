import type { FastifyInstance, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import { openaiErrors } from './openai-error.ts'
import type { ResponsesOptions } from './openai-responses.ts'
import { listInput } from './openai-responses-input.ts'
import { deletedResponse, type InputItemsQuery, inputItemList, inputItemsQuery, responseBody } from './openai-responses-schema.ts'
import { getStored, noResponse } from './openai-responses-store.ts'

const tags = ['openai']

type ById = { Params: { id: string } }

/** GET and DELETE /v1/responses/{id}, and what belongs to it. */
export function serveStoredResponses(http: FastifyInstance, { askerOf, storedResponses: stored }: ResponsesOptions): void {
  const get = (request: FastifyRequest<ById>) => getStored(stored, askerOf(request), request.params.id, 'id')
  http.get<ById>(
    '/responses/:id',
    { schema: { summary: 'Get a response', tags, response: { 200: responseBody, ...openaiErrors } } },
    async (request) => (await get(request)).response,
  )
  http.delete<ById>(
    '/responses/:id',
    { schema: { summary: 'Forget a response', tags, response: { 200: deletedResponse, ...openaiErrors } } },
    async (request) => {
      const { id } = request.params
      if (!(await stored.remove(askerOf(request), id))) noResponse(id, 'id')
      return { id, object: 'response' as const, deleted: true as const }
    },
  )
  http.get<ById & { Querystring: InputItemsQuery }>(
    '/responses/:id/input_items',
    {
      schema: {
        summary: 'List what a response was asked with',
        tags,
        querystring: inputItemsQuery,
        response: { 200: inputItemList, ...openaiErrors },
      },
    },
    async (request) => listInput((await getStored(stored, askerOf(request), request.params.id, 'id')).input, request.query),
  )
  http.post<ById>(
    '/responses/:id/cancel',
    { schema: { summary: 'Refused: no response runs in the background', tags, response: openaiErrors } },
    async (request) => {
      await get(request)
      throw new AppError('invalid', 'Only a response that runs in the background can be cancelled, and none does here.')
    },
  )
}
