import { expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { createFakeModel, embeddersOf } from '../fake-models.ts'
import { type JsonSchema, sampleOf } from '../json-sample.ts'
import { bodyOf, startServer } from '../server.ts'

type Operation = Readonly<{
  parameters?: ReadonlyArray<Readonly<{ in: string; name: string }>>
  requestBody?: Readonly<{ content: Readonly<Record<string, Readonly<{ schema: JsonSchema }>>> }>
}>
type Api = Readonly<{ paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> }>
type Caller = (method: string, path: string, body?: unknown) => Promise<Response>

/** What is the service's own, or changes with an admin alone: nobody owns what these name. */
const ownedByNobody = [
  'path:/models/{name}',
  'path:/models/{name}/load',
  'path:/models/{name}/unload',
  'path:/models/{name}/report',
  'path:/models/pulls/{id}',
  'path:/models/jobs/{id}',
  // A gate belongs to the service; evaluation-upgrade.test.ts tries those of conversations, which have an owner.
  'path:/training/evaluations/{id}',
  'path:/training/evaluations/{id}/cancel',
  'path:/v1/models/{name}',
  'path:/api/blobs/{digest}',
  'path:/admin/users/{id}',
  'path:/admin/users/{id}/sessions',
  'path:/admin/keys/{id}',
  'path:/admin/predictions/{id}',
  // Its own test: an admin may take any feedback back.
  'path:/feedback/{id}',
  'path:/datasets/{id}',
  'path:/datasets/{id}/rows',
  'path:/datasets/{id}/export',
  'path:/training/runs/{id}',
  'path:/training/runs/{id}/cancel',
  'path:/training/runs/{id}/metrics',
  'path:/training/runs/{id}/pause',
  'path:/training/runs/{id}/resume',
  'path:/rollout/{id}',
  'path:/rollout/{id}/events',
  'path:/rollout/{id}/promote',
  'path:/rollout/{id}/rollback',
  'path:/rollout/{id}/end',
]

/** Bodies that their schema does not tell: one of several fields must be there. */
const knownBodies: Readonly<Record<string, object>> = {
  '/rag/documents': { name: 'a.txt', text: 'mine' },
  '/feedback': { prediction_id: 'an answer that nobody has', rating: 'up' },
  '/conversations/{id}': { pinned: true },
  '/conversations/{id}/messages': { parent_id: null, role: 'user', content: 'mine' },
  '/conversations/{id}/answers': { parent_id: null, content: 'mine' },
}

/** Fields of bodies and query strings that can name what somebody owns. */
const owningFields = [
  'collection',
  'collection_id',
  'document_id',
  'conversation_id',
  'prediction_id',
  'rejected_prediction_id',
  'snapshot',
  'previous_response_id',
]

type Case = Readonly<{ key: string; method: string; path: string; body: unknown }>

/** Each place in each route that takes the name of a thing, with that thing put in. */
function casesOf(api: Api, nameOf: (key: string) => string | undefined): Readonly<{ cases: Case[]; unknown: string[] }> {
  const cases: Case[] = []
  const unknown: string[] = []
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const [method, { parameters = [], requestBody }] of Object.entries(operations)) {
      const schema = Object.values(requestBody?.content ?? {})[0]?.schema
      const fields = Object.keys(schema?.properties ?? {}).filter((field) => owningFields.includes(field))
      const sample = schema === undefined ? undefined : (knownBodies[path] ?? sampleOf(schema))
      const at = (kind: string, build: (name: string) => Omit<Case, 'key' | 'method'>) => {
        const key = `${kind}:${path}`
        if (ownedByNobody.includes(key)) return
        const name = nameOf(key)
        if (name === undefined) unknown.push(`${method} ${key}`)
        else cases.push({ key, method: method.toUpperCase(), ...build(name) })
      }
      // What stands inside another thing is named by both.
      const place = (name: string) => path.replace(/\{[^}]+\}(\/messages\/\{[^}]+\})?/, name)
      if (path.includes('{')) at('path', (name) => ({ path: place(name), body: sample }))
      for (const { name: field } of parameters.filter((one) => one.in === 'query' && owningFields.includes(one.name)))
        at('query', (name) => ({ path: `${path}?${field}=${encodeURIComponent(name)}`, body: sample }))
      for (const field of fields) at('body', (name) => ({ path, body: { ...Object(sample), [field]: name } }))
    }
  }
  return { cases, unknown }
}

async function openWorld() {
  const server = await startServer({
    host: createFakeEngine({ answer: () => ({ pieces: ['a'] }) }),
    embedders: embeddersOf(createFakeModel()),
  })
  const callerOf =
    (token?: string): Caller =>
    (method, path, body) =>
      fetch(`${server.url}${path}`, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
  const callers = {
    admin: callerOf(await server.login('root')),
    ana: callerOf(await server.login('ana')),
    bea: callerOf(await server.login('bea')),
    nobody: callerOf(),
  }
  const added = await bodyOf<{ collection: string }>(
    await callers.ana('POST', '/embed/add', { documents: [{ id: 'secret', text: 'the secret of ana' }], collection: 'notes' }),
  )
  const taken = await bodyOf<{ documents: readonly { id: string }[] }>(
    await callers.ana('POST', '/rag/documents', { name: 'diary.txt', text: 'the diary of ana', collection: 'notes' }),
  )
  const document = taken.documents[0]?.id
  const prediction = await bodyOf<{ id: string }>(await callers.ana('POST', '/predict', { prompt: 'of ana' }))
  const response = await bodyOf<{ id: string }>(await callers.ana('POST', '/v1/responses', { input: 'ask for ana' }))
  expect((await callers.ana('POST', '/embed/save', { collection: 'notes', name: 'mine' })).status).toBe(200)
  const apiKey = await bodyOf<{ id: string }>(await callers.ana('POST', '/auth/keys', { name: 'of ana' }))
  await server.login('ana')
  const { sessions } = await bodyOf<{ sessions: { id: string }[] }>(await callers.ana('GET', '/auth/sessions'))
  const conversation = await bodyOf<{ id: string }>(await callers.ana('POST', '/conversations', { title: 'of ana' }))
  const asked = await callers.ana('POST', `/conversations/${conversation.id}/answers`, {
    parent_id: null,
    content: 'ask for ana',
  })
  const { answer } = await bodyOf<{ answer: { id: string } }>(asked)
  const answerPath = `${conversation.id}/messages/${answer.id}`
  await (await callers.ana('GET', `/conversations/${answerPath}/events`)).text()
  const preset = await bodyOf<{ id: string }>(await callers.ana('POST', '/presets', { name: 'of ana', settings: {} }))
  const api = await bodyOf<Api>(await fetch(`${server.url}/openapi.json`))
  /** What of ana's is named in each place. A route that is new fails the test until it stands here, or belongs to nobody. */
  const nameOf = (key: string): string | undefined => {
    const [kind, path = ''] = key.split(':')
    if (path === '/embed/load') return undefined
    if (path.startsWith('/conversations/{id}/messages/{message_id}')) return answerPath
    if (path.startsWith('/conversations/{id}')) return conversation.id
    if (path === '/presets/{id}') return preset.id
    if (kind === 'path' && path.startsWith('/embed/collections/{id}')) return added.collection
    if (kind === 'path' && path === '/embed/snapshots/{name}') return 'mine'
    if (kind === 'path' && path === '/rag/documents/{id}') return document
    if (kind === 'path' && path === '/auth/keys/{id}') return apiKey.id
    if (kind === 'path' && path === '/auth/sessions/{id}') return sessions[0]?.id
    if (path.startsWith('/v1/responses')) return response.id
    if (path === '/feedback' || path === '/predictions/{id}') return prediction.id
    if (kind !== 'path' && /^\/(?:embed|rag)\//.test(path)) return added.collection
    return undefined
  }
  const stateOfAna = async () => ({
    keys: await bodyOf<object>(await callers.ana('GET', '/auth/keys')),
    sessions: await bodyOf<object>(await callers.ana('GET', '/auth/sessions')),
    collections: await bodyOf<object>(await callers.ana('GET', '/embed/collections')),
    documents: await bodyOf<object>(await callers.ana('GET', '/rag/documents?collection=notes')),
    snapshots: await bodyOf<object>(await callers.ana('GET', '/embed/snapshots')),
    conversations: await (await callers.ana('GET', '/conversations/export')).text(),
    presets: await bodyOf<object>(await callers.ana('GET', '/presets')),
    predictions: await bodyOf<object>(await callers.ana('GET', '/predictions')),
    response: await bodyOf<object>(await callers.ana('GET', `/v1/responses/${response.id}/input_items`)),
    found: await bodyOf<object>(await callers.ana('POST', '/embed/search', { query: 'secret', collection: 'notes' })),
  })
  return { ...callers, api, nameOf, stateOfAna, collection: added.collection, [Symbol.asyncDispose]: server[Symbol.asyncDispose] }
}

test('whatever route takes the name of a thing answers 404 to all but its owner, and changes nothing', async () => {
  await using world = await openWorld()
  const { cases, unknown } = casesOf(world.api, world.nameOf)
  // A load needs a snapshot besides; the next test has it.
  expect(unknown).toEqual(['post body:/embed/load'])
  expect(cases.length).toBeGreaterThanOrEqual(22)
  const before = await world.stateOfAna()
  for (const { method, path, body } of cases) {
    for (const other of ['bea', 'admin', 'nobody'] as const) {
      const answer = await world[other](method, path, body)
      const text = await answer.text()
      expect({ other, method, path, status: answer.status, text }).toMatchObject({
        status: other === 'nobody' ? expect.toBeOneOf([401, 404]) : 404,
        text: expect.not.stringContaining('ana'),
      })
    }
  }
  expect(await world.stateOfAna()).toEqual(before)
})

test('its owner may do all of it', async () => {
  await using world = await openWorld()
  const { cases } = casesOf(world.api, world.nameOf)
  const inOrder = cases.toSorted((one, other) => Number(one.method === 'DELETE') - Number(other.method === 'DELETE'))
  for (const { method, path, body } of inOrder) {
    const { status } = await world.ana(method, path, body)
    // 409: the collection has that model already, and is on its way to no other. 400: no response runs in the background.
    const refused = path.endsWith('/re-embed') ? 409 : path.endsWith('/cancel') ? 400 : undefined
    expect({ method, path, status }).toMatchObject({ status: refused ?? expect.toBeOneOf([200, 201, 202, 204]) })
    if (method === 'DELETE' && !path.includes('snapshots') && !path.endsWith('/re-embed')) break
  }
})

test("nobody loads another's snapshot, or into another's collection", async () => {
  await using world = await openWorld()
  const { ana, bea, admin, collection } = world
  for (const other of [bea, admin]) {
    expect((await other('POST', '/embed/load', { name: 'mine' })).status).toBe(404)
    await other('POST', '/embed/add', { documents: ['mine'] })
    expect((await other('POST', '/embed/save', { name: 'own' })).status).toBe(200)
    expect((await other('POST', '/embed/load', { name: 'own', collection })).status).toBe(404)
    expect((await other('POST', '/embed/save', { collection, name: 'stolen' })).status).toBe(404)
  }
  expect((await ana('POST', '/embed/load', { name: 'mine' })).status).toBe(200)
})

test('lists and searches hold nothing of others, and ids of others delete nothing', async () => {
  await using world = await openWorld()
  for (const other of ['bea', 'admin'] as const) {
    const caller = world[other]
    await caller('POST', '/embed/add', { documents: ['mine'] })
    expect(await bodyOf(await caller('POST', '/embed/delete', { ids: ['secret'] }))).toEqual({ count: 0 })
    for (const path of [
      '/embed/collections',
      '/embed/snapshots',
      '/embed/stats',
      '/conversations',
      '/conversations/export',
      '/presets',
    ])
      expect(await (await caller('GET', path)).text()).not.toMatch(/notes|"mine"|ana/)
    const found = await (await caller('POST', '/embed/search', { query: 'the secret of ana', k: 100 })).text()
    expect(found).not.toContain('secret of ana')
  }
  expect(JSON.stringify(await world.stateOfAna())).toContain('secret of ana')
})
