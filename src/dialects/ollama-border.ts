import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { AppError } from '../errors.ts'
import { createJsonParser } from '../http/json-body.ts'
import { replyWithOllamaErrors } from './ollama-error.ts'

/** What each scope with routes of this dialect needs before them. */
export function prepareOllamaScope(http: FastifyInstance): void {
  replyWithOllamaErrors(http)
  dropNulls(http)
  // What curl says of "-d '{…}'", which is how Ollama's documentation asks. Foreign pages, which may send it too, are refused by their
  // Origin before a body is read.
  http.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'buffer' }, createJsonParser(http))
}

/** In Ollama's API a null is the same as a field that is left out. What a caller's schemas and arguments hold stays as it is. */
function dropNulls(http: FastifyInstance): void {
  http.addHook('preValidation', async (request) => {
    if (!isObject(request.body)) return
    const body = withoutNulls(request.body)
    const { messages, options } = body
    request.body = {
      ...body,
      ...(isObject(options) ? { options: withoutNulls(options) } : {}),
      ...(Array.isArray(messages) ? { messages: messages.map((one: unknown) => (isObject(one) ? withoutNulls(one) : one)) } : {}),
    }
  })
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const withoutNulls = (value: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null))

export const modelName = Type.String({ minLength: 1, maxLength: 500 })

/** Of a body that names its model in one of two ways. Ollama's own client sends both, one of them empty. */
export const eitherName = {
  model: Type.Optional(Type.String({ maxLength: 500 })),
  name: Type.Optional(Type.String({ maxLength: 500, description: 'The older name of model.' })),
}

/** Throws `invalid` where neither is there. */
export function readEitherName({ model = '', name = '' }: Readonly<{ model?: string; name?: string }>): string {
  const given = model === '' ? name : model
  if (given === '') throw wrong('model', 'given', 'missing')
  return toModelName(given)
}

/** Clients put `:latest` behind names without a tag. Whatever the model is called, it is called so without it. */
export const toModelName = (given: string): string => given.replace(/:latest$/i, '')

/** As the lists name a model, so that clients find it under the name that they make of what was typed. */
export const toTaggedName = (name: string): string => (name.includes(':') ? name : `${name}:latest`)

export function wrong(field: string, expected: string, got: string): AppError {
  return new AppError('invalid', `"${field}" must be ${expected}, but is ${got}.`, { details: [{ field, expected, got }] })
}
