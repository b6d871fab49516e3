import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ApiDocument } from '../../src/http/api-document.ts'
import { routeFacts, tagDescriptions } from '../../src/http/api-facts.ts'
import { apiReference } from '../../src/http/api-reference.ts'
import { withErrorTable } from '../../src/http/error-table.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

let server: TestServer
let document: ApiDocument
beforeAll(async () => {
  const host = createFakeEngine({ answer: () => ({ pieces: ['a'] }) })
  server = await startServer({ host, settings: { ALLOW_ANONYMOUS: 'false' } })
  document = await bodyOf<ApiDocument>(await fetch(`${server.url}/openapi.json`))
})
afterAll(() => server[Symbol.asyncDispose]())

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  )

test('docs/api.md is what the routes say; `vitest run --project unit test/unit/api-docs.test.ts -u` writes it', async () => {
  await expect(apiReference(document)).toMatchFileSnapshot(resolve('docs/api.md'))
})

test('docs/errors.md has the table that the code makes', async () => {
  const file = resolve('docs/errors.md')
  await expect(withErrorTable(await readFile(file, 'utf8'))).toMatchFileSnapshot(file)
})

test('each mounted route stands in the document, in the scope that it is mounted in', () => {
  const documented = new Map(operations().map(({ name, operation }) => [name, operation['x-callers']]))
  // What follows the name of a model says what is done with it, so one route is several endpoints.
  const endpointsOf = (name: string) => (name === 'POST /models/{name}' ? [`${name}/load`, `${name}/unload`] : [name])
  const mounted = server.app.routes
    .map(({ method, url, scope }) => ({ name: `${method} ${url.replace('*', '{name}').replaceAll(/:(\w+)/g, '{$1}')}`, scope }))
    .flatMap(({ name, scope }) => endpointsOf(name).map((endpoint) => ({ endpoint, scope })))
  const hidden = mounted.filter(({ endpoint }) => !documented.has(endpoint)).map(({ endpoint }) => endpoint)
  expect(hidden.filter((name) => !isPage(name))).toEqual([])
  for (const { endpoint, scope } of mounted)
    if (documented.has(endpoint)) expect({ endpoint, scope: documented.get(endpoint) }).toEqual({ endpoint, scope })
})

/** The files of the pages are no part of the API. */
const isPage = (name: string) =>
  /^(?:GET|OPTIONS) \/(?:\{name\}|admin|docs.*|openapi\.json|(?:[\w-]+\/)*[\w.-]+\.\w+)?$/.test(name)

test('each endpoint has a name of its own, a summary, a known group, a success and its failures', () => {
  const names = operations().map(({ operation }) => operation.operationId)
  expect(new Set(names).size).toBe(names.length)
  for (const { name, operation } of operations()) {
    expect(operation, name).toMatchObject({ summary: expect.stringMatching(/./), security: expect.any(Array) })
    expect(Object.keys(tagDescriptions), name).toContain(operation.tags?.[0])
    const statuses = Object.keys(operation.responses)
    expect(
      statuses.some((status) => Number(status) < 300 || refusesAll(name)),
      name,
    ).toBe(true)
    expect(statuses, name).toEqual(expect.arrayContaining(['403', '500', '503']))
    expect(
      statuses.every((status) => /^\d{3}$/.test(status)),
      name,
    ).toBe(true)
    const isOpen = operation['x-callers'] === 'public'
    if (!isOpen)
      expect({ name, statuses, security: operation.security }).toMatchObject({
        statuses: expect.arrayContaining(['401']),
        security: expect.arrayContaining([{ token: [] }]),
      })
  }
})

/** What other APIs have, and this service refuses whoever asks. */
const refusesAll = (name: string) => /\/api\/(?:create|push|blobs)|\/v1\/responses\/\{id\}\/cancel/.test(name)

test('what is said about routes is about routes that there are', () => {
  const names = new Set(operations().map(({ name }) => name))
  expect(Object.keys(routeFacts).filter((name) => !names.has(name))).toEqual([])
})

test('anonymous callers are in the document where they are let in', async () => {
  const host = createFakeEngine({ answer: () => ({ pieces: ['a'] }) })
  await using open = await startServer({ host, settings: { ALLOW_ANONYMOUS: 'true' } })
  const { paths } = await bodyOf<ApiDocument>(await fetch(`${open.url}/openapi.json`))
  expect(paths['/predict']?.post?.security).toContainEqual({})
  expect(document.paths['/predict']?.post?.security).not.toContainEqual({})
  expect(paths['/auth/me']?.get?.security).not.toContainEqual({})
})

test('a parameter that has a default need not be given, and in the APIs of others a null is a field that is left out', () => {
  const format = document.paths['/conversations/{id}/export']?.get?.parameters?.find(({ name }) => name === 'format')
  expect(format).toMatchObject({ in: 'query', required: false })
  const bodyOfPath = (path: string) => document.paths[path]?.post?.requestBody?.content['application/json']?.schema
  expect(bodyOfPath('/v1/rerank')).toMatchObject({
    additionalProperties: { type: 'null' },
    properties: { model: { anyOf: [{ type: 'string' }, { type: 'null' }] }, query: { type: 'string' } },
  })
  expect(bodyOfPath('/predict')).toMatchObject({ additionalProperties: false, properties: { model: { type: 'string' } } })
})

test('uploads are forms with files, and answers that stream have both forms', () => {
  const content = document.paths['/rag/documents']?.post?.requestBody?.content
  expect(content?.['multipart/form-data']?.schema).toMatchObject({
    properties: { file: { items: { format: 'binary' } } },
    required: ['file'],
  })
  expect(content?.['multipart/form-data']?.schema?.properties).not.toHaveProperty('url')
  const forms = (path: string) => Object.keys(document.paths[path]?.post?.responses['200']?.content ?? {})
  expect(forms('/predict')).toEqual(['application/json', 'text/event-stream'])
  expect(forms('/api/chat')).toEqual(['application/json', 'application/x-ndjson'])
})
