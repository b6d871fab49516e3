import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { createJsonParser } from '../http/json-body.ts'
import { dropNulls } from './nulls.ts'
import { replyWithOllamaErrors } from './ollama-error.ts'
import { wrongField } from './refuse-fields.ts'

/** Where the caller's own data stands, and lists of it. */
const ownFields: ReadonlySet<string> = new Set(['format', 'tools', 'tool_calls', 'parameters', 'files', 'adapters'])

/** What each scope with routes of this dialect needs before them. */
export function prepareOllamaScope(http: FastifyInstance): void {
  replyWithOllamaErrors(http)
  dropNulls(http, ownFields)
  // What curl says of "-d '{…}'", which is how Ollama's documentation asks. Foreign pages, which may send it too, are refused by their
  // Origin before a body is read.
  http.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'buffer' }, createJsonParser(http))
}

export const modelName = Type.String({ minLength: 1, maxLength: 500 })

/** Of a body that names its model in one of two ways. Ollama's own client sends both, one of them empty. */
export const eitherName = {
  model: Type.Optional(Type.String({ maxLength: 500 })),
  name: Type.Optional(Type.String({ maxLength: 500, description: 'The older name of model.' })),
}

/** Throws `invalid` where neither is there. */
export function readEitherName({ model = '', name = '' }: Readonly<{ model?: string; name?: string }>): string {
  const given = model === '' ? name : model
  if (given === '') throw wrongField('model', 'given', 'missing')
  return toModelName(given)
}

/** Clients put `:latest` behind names without a tag. Whatever the model is called, it is called so without it. */
export const toModelName = (given: string): string => given.replace(/:latest$/i, '')

/** As the lists name a model, so that clients find it under the name that they make of what was typed. */
export const toTaggedName = (name: string): string => (name.includes(':') ? name : `${name}:latest`)
