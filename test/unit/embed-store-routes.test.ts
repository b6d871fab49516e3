import { describe, expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { createFakeModel, embeddersOf } from '../fake-models.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

const start = (settings: Record<string, string> = {}) =>
  startServer({
    host: createFakeEngine({ answer: () => ({ pieces: ['a'] }) }),
    embedders: embeddersOf(createFakeModel()),
    settings,
  })

type Body = Readonly<{ error: { code: string; message: string }; results?: unknown }>

function callerOf({ url }: TestServer, token?: string) {
  return async (method: string, path: string, body?: unknown) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const answer: Body = response.status === 204 ? { error: { code: '', message: '' } } : await bodyOf<Body>(response)
    return { status: response.status, ...answer }
  }
}

async function startWithUser() {
  const server = await start()
  return { server, call: callerOf(server, await server.login('ana')), [Symbol.asyncDispose]: server[Symbol.asyncDispose] }
}

describe('adding and searching', () => {
  test('texts and objects are added, and found with score, distance and metadata', async () => {
    await using world = await startWithUser()
    const { call } = world
    const documents = ['red apple', { id: 'p', text: 'green pear', metadata: { kind: 'fruit', __proto__x: [1, { a: null }] } }]
    const added = await call('POST', '/embed/add', { documents })
    expect(added).toMatchObject({ status: 200, count: 2, ids: [expect.any(String), 'p'] })
    const found = await call('POST', '/embed/search', { query: 'green pear', k: 2 })
    expect(found).toMatchObject({
      status: 200,
      model: 'words',
      ran_on: 'local',
      results: [
        { id: 'p', text: 'green pear', score: expect.closeTo(1, 5), metadata: { kind: 'fruit', __proto__x: [1, { a: null }] } },
        { text: 'red apple', metadata: {} },
      ],
    })
    for (const { score, distance } of JSON.parse(JSON.stringify(found.results)))
      expect(distance).toBeCloseTo(Math.sqrt(Math.max(0, 2 - 2 * score)), 6)
    expect(await call('POST', '/embed/search', { query: 'apple', filter: { kind: 'fruit' } })).toMatchObject({
      results: [{ id: 'p' }],
    })
    expect(await call('POST', '/embed/delete', { ids: ['p'] })).toMatchObject({ status: 200, count: 1 })
    expect(await call('POST', '/embed/search', { query: 'pear' })).toMatchObject({ results: [{ text: 'red apple' }] })
    expect(await call('GET', '/embed/stats')).toMatchObject({
      status: 200,
      collections: 1,
      collection: { name: 'default', model: 'words', dimensions: 32, passages: 1, documents: 0, is_own: true, re_embed: null },
      index: { vectors: 1, method: 'exact', memory_bytes: expect.any(Number) },
    })
  })

  test('who has added nothing finds nothing; a collection that is named must be there', async () => {
    await using world = await startWithUser()
    const { call } = world
    expect(await call('POST', '/embed/search', { query: 'a' })).toMatchObject({ status: 200, results: [] })
    expect(await call('GET', '/embed/stats')).toMatchObject({ status: 200, collection: null, index: null, collections: 0 })
    for (const [method, path, body] of [
      ['POST', '/embed/search', { query: 'a', collection: 'notes' }],
      ['GET', '/embed/stats?collection=notes', undefined],
      ['GET', '/embed/collections/notes', undefined],
      ['POST', '/embed/delete', { ids: ['a'] }],
    ] as const)
      expect(await call(method, path, body)).toMatchObject({ status: 404, error: { code: 'not_found' } })
  })

  test.each([
    ['/embed/add', {}, 'documents'],
    ['/embed/add', { documents: [] }, 'documents'],
    ['/embed/add', { documents: [''] }, 'documents.0'],
    ['/embed/add', { documents: [{ id: 'a' }] }, 'documents.0'],
    ['/embed/add', { documents: [{ text: 'a', tags: [] }] }, 'tags'],
    ['/embed/add', { documents: ['a', { id: 'x', text: 'b' }, { id: 'x', text: 'c' }] }, 'documents.2.id'],
    ['/embed/add', { documents: ['a'], collection: ' ' }, 'collection'],
    ['/embed/search', { query: '' }, 'query'],
    ['/embed/search', { query: 'a', k: 0 }, 'k'],
    ['/embed/search', { query: 'a', k: '3' }, 'k'],
    ['/embed/search', { query: 'a', filter: { year: { bigger: 1 } } }, 'filter.year.bigger'],
    ['/embed/search', { query: 'a', filter: [] }, 'filter'],
    ['/embed/search', { query: 'a', colection: 'x' }, 'colection'],
    ['/embed/delete', { ids: [] }, 'ids'],
  ])('POST %s with %j is refused, naming %s', async (path, body, field) => {
    await using world = await startWithUser()
    const answer = await world.call('POST', path, body)
    expect(answer).toMatchObject({ status: 400, error: { code: 'invalid' } })
    expect(JSON.stringify(answer.error)).toContain(field)
  })

  test('a key that would reach the prototype is refused or kept as data', async () => {
    await using world = await startWithUser()
    const response = await fetch(`${world.server.url}/embed/add`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await world.server.login('bea')}` },
      body: '{"documents":[{"text":"a","metadata":{"__proto__":{"polluted":true}}}]}',
    })
    expect(response.status).toBe(400)
    expect(Object.keys(Object.prototype)).toEqual([])
  })
})

describe('who may', () => {
  test('callers without a name search what is shared, and change nothing', async () => {
    await using server = await start()
    const ana = callerOf(server, await server.login('ana'))
    const nobody = callerOf(server)
    expect(await nobody('POST', '/embed/add', { documents: ['a'] })).toMatchObject({ status: 401 })
    expect(await nobody('POST', '/embed/delete', { ids: ['a'] })).toMatchObject({ status: 401 })
    await ana('POST', '/embed/add', { documents: ['red apple'], collection: 'fruit' })
    expect(await nobody('GET', '/embed/collections')).toMatchObject({ status: 200, collections: [] })
    expect(await ana('PATCH', '/embed/collections/fruit', { is_shared: true })).toMatchObject({ status: 200, is_shared: true })
    expect(await nobody('GET', '/embed/collections')).toMatchObject({ collections: [{ name: 'fruit', is_own: false }] })
    expect(await nobody('POST', '/embed/search', { query: 'apple', collection: 'fruit' })).toMatchObject({
      results: [{ text: 'red apple' }],
    })
    expect(await nobody('DELETE', '/embed/collections/fruit')).toMatchObject({ status: 401 })
    expect(await ana('DELETE', '/embed/collections/fruit')).toMatchObject({ status: 204 })
    expect(await ana('GET', '/embed/collections')).toMatchObject({ collections: [] })
  })

  test('where names are asked for, a caller without one may not search', async () => {
    await using server = await start({ ALLOW_ANONYMOUS: 'false' })
    for (const [method, path, body] of [
      ['POST', '/embed/search', { query: 'a' }],
      ['GET', '/embed/stats', undefined],
      ['GET', '/embed/collections', undefined],
    ] as const)
      expect(await callerOf(server)(method, path, body)).toMatchObject({ status: 401 })
  })
})

test('a snapshot without a name is called after the collection, as far as a file can bear it', async () => {
  await using world = await startWithUser()
  const { call } = world
  const save = async (collection: string) => {
    await call('POST', '/embed/add', { collection, documents: ['a text'] })
    return call('POST', '/embed/save', { collection })
  }
  expect(await save('notes')).toMatchObject({ status: 200, name: 'notes' })
  expect(await save('Mis días')).toMatchObject({ status: 200, name: expect.stringMatching(/^Mis-dias-[0-9a-f]{8}$/) })
  expect(await save('文書')).toMatchObject({ status: 200, name: expect.stringMatching(/^[0-9a-f]{8}$/) })
  // Two collections never share a file.
  await save('Mis dias')
  expect(await call('GET', '/embed/snapshots')).toMatchObject({ snapshots: Array.from({ length: 4 }, () => ({})) })
})
