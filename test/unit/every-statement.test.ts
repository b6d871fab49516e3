import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { place } from '../every-failure.ts'
import { type Answer, everyStatement, type Kept, lookAt } from '../every-statement.ts'
import { full } from '../failing-disk.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { createFakeModel, embeddersOf } from '../fake-models.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { startServer } from '../server.ts'
import { addDataset } from '../training-world.ts'

vi.stubEnv('TMPDIR', place)
const server = await startServer({
  host: createFakeEngine({ answer: () => ({ pieces: ['yes'] }), models: ['old', 'new'] }),
  embedders: embeddersOf(createFakeModel()),
})
const token = await server.login('root')
const look = await lookAt(await databaseAt(join(server.dataDir, 'simpleia.db')))
afterAll(async () => {
  await look.close()
  await server[Symbol.asyncDispose]()
})

async function call(method: string, path: string, body?: unknown, as = token): Promise<Answer> {
  const isForm = body instanceof FormData
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${as}`, ...(body === undefined || isForm ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json') === true
  return { status: response.status, body: isJson ? JSON.parse(text) : text }
}

/** Of what was made: its id. */
async function idOf(answer: Promise<Answer>, field = 'id'): Promise<string> {
  const { status, body } = await answer
  const id: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, field) : undefined
  if (typeof id !== 'string') throw new Error(`${status} ${JSON.stringify(body)}`)
  return id
}

const fileOf = (name: string, text: string, more: Readonly<Record<string, string>> = {}) => {
  const form = new FormData()
  for (const [field, value] of Object.entries(more)) form.set(field, value)
  form.set('file', new Blob([text]), name)
  return form
}

const post = (path: string, body: (tag: string) => unknown, more: Omit<Kept, 'prepare'> = {}): Kept => ({
  prepare: async (tag) => () => call('POST', path, body(tag)),
  ...more,
})

/** A request about something that is made first. */
const about = (
  make: (tag: string) => Promise<string>,
  send: (id: string, tag: string) => Promise<Answer>,
  more: Omit<Kept, 'prepare'> = {},
): Kept => ({
  async prepare(tag) {
    const id = await make(tag)
    return () => send(id, tag)
  },
  ...more,
})

/** Without a password, which takes long to hash. */
async function makeUser(tag: string): Promise<string> {
  const user = { id: randomUUID(), username: tag, usernameKey: tag, passwordHash: '', role: 'user', tokenGeneration: 0 } as const
  await look.db
    .insertInto('users')
    .values({ ...user, createdAt: '', updatedAt: '' })
    .execute()
  return user.id
}

const makeKey = (tag: string) => idOf(call('POST', '/auth/keys', { name: tag }))
const makeConversation = (tag: string) => idOf(call('POST', '/conversations', { title: tag }))
const makePreset = (tag: string) => idOf(call('POST', '/presets', { name: tag, settings: { system: tag } }))
const addItems = (tag: string) =>
  call('POST', '/embed/add', {
    collection: tag,
    documents: [
      { id: 'one', text: `a text ${tag}` },
      { id: 'two', text: tag },
    ],
  })
const makeCollection = (tag: string) => idOf(addItems(tag), 'collection')
async function makeDocument(tag: string): Promise<string> {
  const { body } = await call('POST', '/rag/documents', { name: `${tag}.txt`, text: `One fact about ${tag}.` })
  return /"documents":\[\{"id":"([^"]+)"/.exec(JSON.stringify(body))?.[1] ?? ''
}
const makeAnswer = (tag: string) => idOf(call('POST', '/predict', { prompt: tag, max_length: 1 }), 'id')
const rate = (id: string, tag: string) => call('POST', '/feedback', { prediction_id: id, rating: 'up', text: tag })
const makeFeedback = async (tag: string) => idOf(rate(await makeAnswer(tag), tag))
const rows = (tag: string) => [1, 2, 3].map((number) => ({ prompt: `${tag} ${number}?`, completion: `Answer ${number}` }))
const makeDataset = async (tag: string) => (await addDataset(look.db, { name: tag })).id

const armsOf = (share: number) => [
  { model: 'old', share },
  { model: 'new', share: 100 - share },
]
const startOf = (tag: string) => ({ alias: tag, arms: armsOf(50) })
const makeRollout = (tag: string) => idOf(call('POST', '/rollout', startOf(tag)))
async function loggedIn(tag: string): Promise<string> {
  await call('POST', '/admin/users', { username: tag, password: 'a long password' })
  return idOf(call('POST', '/auth/login', { username: tag, password: 'a long password' }), 'access_token')
}

const kept: Readonly<Record<string, Kept>> = {
  'an account': post('/admin/users', (tag) => ({ username: tag, password: 'a long password' })),
  'a role': about(makeUser, (id) => call('PATCH', `/admin/users/${id}`, { role: 'admin' }), { repeats: true }),
  'the end of an account': about(makeUser, (id) => call('DELETE', `/admin/users/${id}`)),
  'the end of its sessions': about(makeUser, (id) => call('DELETE', `/admin/users/${id}/sessions`)),
  'a key': post('/auth/keys', (tag) => ({ name: tag })),
  'the end of a key': about(makeKey, (id) => call('DELETE', `/auth/keys/${id}`)),
  'a conversation': post('/conversations', (tag) => ({ title: tag })),
  'its title': about(makeConversation, (id, tag) => call('PATCH', `/conversations/${id}`, { title: `${tag} other` }), {
    repeats: true,
  }),
  'a message': about(makeConversation, (id, tag) =>
    call('POST', `/conversations/${id}/messages`, { parent_id: null, role: 'user', content: tag }),
  ),
  'the end of a conversation': about(makeConversation, (id) => call('DELETE', `/conversations/${id}`)),
  'conversations that are imported': {
    async prepare(tag) {
      const id = await makeConversation(tag)
      await call('POST', `/conversations/${id}/messages`, { parent_id: null, role: 'user', content: tag })
      const { body } = await call('GET', `/conversations/${id}/export`)
      return () => call('POST', '/conversations/import', fileOf('conversations.jsonl', JSON.stringify(body)))
    },
  },
  'a preset': post('/presets', (tag) => ({ name: tag, settings: { system: tag } })),
  'a preset that changes': about(makePreset, (id, tag) =>
    call('PUT', `/presets/${id}`, { name: tag, settings: { system: 'b' } }),
  ),
  'items of a new collection': { prepare: async (tag) => () => addItems(tag), mayPrecede: ['collections'] },
  'items that change': about(makeCollection, (id, tag) =>
    call('POST', '/embed/add', { collection: id, documents: [{ id: 'one', text: `another text ${tag}` }] }),
  ),
  'the end of items': about(makeCollection, (id) => call('POST', '/embed/delete', { collection: id, ids: ['one', 'two'] })),
  'the end of a collection': about(makeCollection, (id) => call('DELETE', `/embed/collections/${id}`)),
  'who may read a collection': about(makeCollection, (id) => call('PATCH', `/embed/collections/${id}`, { is_shared: true })),
  'a collection from its snapshot': {
    async prepare(tag) {
      const id = await makeCollection(tag)
      await call('POST', '/embed/save', { collection: id, name: tag })
      await call('POST', '/embed/delete', { collection: id, ids: ['one'] })
      return () => call('POST', '/embed/load', { name: tag })
    },
  },
  'a document': post('/rag/documents', (tag) => ({ name: `${tag}.txt`, text: `One fact about ${tag}.` })),
  'a document that is uploaded': {
    prepare: async (tag) => () => call('POST', '/rag/documents', fileOf(`${tag}.txt`, `A fact about ${tag}.`)),
  },
  'the end of a document': about(makeDocument, (id) => call('DELETE', `/rag/documents/${id}`)),
  'an answer, which comes all the same': post('/predict', (tag) => ({ prompt: tag, max_length: 1 }), {
    mayLack: ['predictions'],
  }),
  feedback: about(makeAnswer, rate),
  'the end of feedback': about(makeFeedback, (id) => call('DELETE', `/feedback/${id}`)),
  'the end of an answer': about(makeAnswer, (id) => call('DELETE', `/predictions/${id}`)),
  'a stored response': post('/v1/responses', (tag) => ({ model: 'old', input: tag }), {
    mayLack: ['predictions'],
    mayPrecede: ['predictions'],
  }),
  'a dataset': {
    // A process reads it each time, which takes long.
    on: [full],
    // No list shows rows that are of no dataset; they go with the next one, as does the note of who writes them.
    mayPrecede: ['dataset_rows', 'shared_state'],
    mayLack: ['shared_state'],
    prepare: async (tag) => () =>
      call(
        'POST',
        '/datasets',
        fileOf(
          `${tag}.jsonl`,
          rows(tag)
            .map((row) => JSON.stringify(row))
            .join('\n'),
          { name: tag, held_out: '0' },
        ),
      ),
  },
  'a rollout': post('/rollout', startOf),
  'the shares of a rollout': about(makeRollout, (id) => call('PATCH', `/rollout/${id}`, { arms: armsOf(60) }), { repeats: true }),
  'the end of a rollout': about(makeRollout, (id) => call('POST', `/rollout/${id}/end`)),
  'the promotion of a model': about(makeRollout, (id) => call('POST', `/rollout/${id}/promote`)),
  'a session that ends': {
    async prepare(tag) {
      const own = await loggedIn(tag)
      return () => call('POST', '/auth/logout', undefined, own)
    },
  },
  'a password': {
    async prepare(tag) {
      const own = await loggedIn(tag)
      return () => call('POST', '/auth/password', { current_password: 'a long password', new_password: 'a longer password' }, own)
    },
  },
  'whether answers are remembered': {
    async prepare(tag) {
      const own = await loggedIn(tag)
      return () => call('PUT', '/predictions/settings', { store: false }, own)
    },
    repeats: true,
  },
  'the end of all answers': {
    async prepare(tag) {
      const own = await loggedIn(tag)
      for (const prompt of ['one', 'two']) await call('POST', '/predict', { prompt: `${tag} ${prompt}`, max_length: 1 }, own)
      return () => call('DELETE', '/predictions', undefined, own)
    },
    repeats: true,
  },
  'the end of a dataset': about(makeDataset, (id) => call('DELETE', `/datasets/${id}`), {
    on: [full],
    mayLack: ['dataset_rows', 'shared_state'],
  }),
}

// The collection that documents go into.
beforeAll(async () => void (await makeDocument('first')))

test.each(Object.entries(kept))('%s: all of it, or nothing', async (_, request) => {
  expect(await everyStatement(look, request, server.dataDir)).toBeGreaterThan(0)
})
