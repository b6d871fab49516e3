import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createClient } from '../../src/client.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { allOf, createHeldHost, joinedText, patient } from '../conversations-world.ts'
import { endedPid } from '../ended-process.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { databaseAt, onPostgres } from '../postgres/database-at.ts'
import { bodyOf, startServer } from '../server.ts'

const parent_id = null
/** All replicas have the same. */
const secretKey = randomBytes(48).toString('base64')

/** Two services on one database, and a user whom both know. */
async function openReplicas() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-replicas-'))
  const settings = { DATABASE_URL: join(folder, 'simpleia.db'), SECRET_KEY: secretKey }
  const hosts = [createHeldHost(), createHeldHost()] as const
  const first = await startServer({ host: hosts[0], settings })
  const token = await first.login('ana')
  const second = await startServer({ host: hosts[1], settings })
  const storage = await openStorage({ url: await databaseAt(settings.DATABASE_URL) })
  onTestFinished(async () => {
    await first[Symbol.asyncDispose]()
    await second[Symbol.asyncDispose]()
    await storage.close()
    await rm(folder, { recursive: true })
  })
  const clientOf = (url: string) => createClient({ baseUrl: url, token })
  return { first, second, hosts, token, db: storage.db, clients: [clientOf(first.url), clientOf(second.url)] as const }
}

test('an answer that one replica writes is followed through another, with all text and its end', async () => {
  const { hosts, clients } = await openReplicas()
  const [one, other] = clients
  const { id } = await one.addConversation()
  const { answer } = await one.beginAnswer(id, { parent_id, content: 'Go on.' })
  await expect.poll(() => hosts[0].answers.length, patient).toBe(1)
  const following = other.followAnswer(id, answer.id)
  const begun = await following.next()
  expect(begun.value).toMatchObject({ type: 'snapshot', message: { state: 'writing' } })
  expect((await following.next()).value).toEqual({ type: 'waiting', for: 'queue' })
  hosts[0].answers[0]?.say('All ', 'of ')
  expect((await following.next()).value).toEqual({ type: 'text', text: 'All of ' })
  hosts[0].answers[0]?.say('it.')
  hosts[0].answers[0]?.end()
  expect(joinedText(await allOf(following))).toMatchObject({ text: 'it.', end: { state: 'done', content: 'All of it.' } })
})

test('an answer is stopped through another replica, and the model is free', async () => {
  const { hosts, clients } = await openReplicas()
  const [one, other] = clients
  const { id } = await one.addConversation()
  const { answer } = await one.beginAnswer(id, { parent_id, content: 'Go on.' })
  await expect.poll(() => hosts[0].answers.length, patient).toBe(1)
  hosts[0].answers[0]?.say('half')
  const stopping = other.stopAnswer(id, answer.id)
  await expect.poll(() => hosts[0].answers[0]?.isLeft(), patient).toBe(true)
  expect(await stopping).toMatchObject({ state: 'stopped', content: 'half' })
})

test('a replica that starts leaves what others do as it is, and says of what a dead one did that it broke off', async () => {
  const { hosts, clients, db } = await openReplicas()
  const [one, other] = clients
  const { id } = await one.addConversation()
  const { answer } = await one.beginAnswer(id, { parent_id, content: 'Go on.' })
  await expect.poll(() => hosts[0].answers.length, patient).toBe(1)
  const { host = '' } = (await db.selectFrom('instances').select('host').executeTakeFirst()) ?? {}
  await db.insertInto('instances').values({ id: 'dead', host, pid: endedPid(), startedAt: 0, seenAt: 0 }).execute()
  const { answer: left } = await one.beginAnswer(id, { parent_id, content: 'And this?' })
  await db.updateTable('messages').set({ instanceId: 'dead' }).where('id', '=', left.id).execute()
  const stateOf = async (messageId: string) =>
    (await db.selectFrom('messages').select('state').where('id', '=', messageId).executeTakeFirst())?.state
  // Noticed at the next beat of those that are there.
  await expect.poll(() => stateOf(left.id), { timeout: 15_000 }).toBe('interrupted')
  expect(await stateOf(answer.id)).toBe('writing')
  expect(joinedText(await allOf(other.followAnswer(id, left.id))).end).toMatchObject({ state: 'interrupted' })
})

test('four answers at a time are for one owner, whichever replicas write them', async () => {
  const { clients } = await openReplicas()
  const { id } = await clients[0].addConversation()
  const begin = (index: number) => clients[index % 2 === 0 ? 0 : 1].beginAnswer(id, { parent_id, content: `${index}` })
  const begun = await Promise.allSettled(Array.from({ length: 6 }, (_, index) => begin(index)))
  expect(begun.filter(({ status }) => status === 'fulfilled')).toHaveLength(4)
})

test.runIf(onPostgres)('what one replica selects, the other selects too, now and when it starts again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-replicas-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const settings = { DATABASE_URL: join(folder, 'simpleia.db'), SECRET_KEY: secretKey }
  const start = () =>
    startServer({ host: createFakeEngine({ models: ['fake', 'other'], answer: () => ({ pieces: ['x'] }) }), settings })
  await using first = await start()
  const token = await first.login('root')
  const second = await start()
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const selectedAt = async (url: string) =>
    (await bodyOf<{ model_name: string }>(await fetch(`${url}/model`, { headers }))).model_name
  expect(await selectedAt(second.url)).toBe('fake')
  const selecting = await fetch(`${first.url}/model`, { method: 'POST', headers, body: '{"model_name":"other"}' })
  expect(selecting.status).toBe(200)
  await expect.poll(() => selectedAt(second.url), patient).toBe('other')
  await second[Symbol.asyncDispose]()
  await using third = await start()
  await expect.poll(() => selectedAt(third.url), patient).toBe('other')
})
