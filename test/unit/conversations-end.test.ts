import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test } from 'vitest'
import { createAnswering } from '../../src/conversations/answering.ts'
import { createConversations } from '../../src/conversations/conversations.ts'
import { createMessages } from '../../src/conversations/messages.ts'
import { AppError } from '../../src/errors.ts'
import { createLifecycle } from '../../src/http/lifecycle.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { allOf, codeOf, createBrowser, joinedText, openConversationsWorld, patient } from '../conversations-world.ts'
import { databaseAt } from '../postgres/database-at.ts'

const parent_id = null

test('when the service ends in order, an answer that goes on is kept as far as it has come, and followers are told', async () => {
  await using world = await openConversationsWorld()
  const { ana, host, server } = world
  const { id } = await ana.addConversation()
  const { answer } = await ana.beginAnswer(id, { parent_id, content: 'Go on.' })
  const following = ana.followAnswer(id, answer.id)
  await following.next()
  await expect.poll(() => host.answers.length, patient).toBe(1)
  host.answers[0]?.say('and on')
  const read = allOf(following)
  await expect
    .poll(async () => {
      const { value } = await ana.followAnswer(id, answer.id).next()
      return value?.type === 'snapshot' ? value.message.content : ''
    }, patient)
    .toBe('and on')
  await server.app.close({ graceMs: 0 })
  expect(joinedText(await read).end).toMatchObject({ state: 'interrupted', content: 'and on' })
  const storage = await openStorage({ url: await databaseAt(join(server.dataDir, 'simpleia.db')) })
  const row = await storage.db.selectFrom('messages').selectAll().where('id', '=', answer.id).executeTakeFirst()
  expect(row).toMatchObject({ state: 'interrupted', content: 'and on' })
  await storage.close()
})

test('an answer that ends within the grace time is kept whole', async () => {
  await using world = await openConversationsWorld()
  const { ana, host, server } = world
  const { id } = await ana.addConversation()
  const { answer } = await ana.beginAnswer(id, { parent_id, content: 'Go on.' })
  await expect.poll(() => host.answers.length, patient).toBe(1)
  host.answers[0]?.say('to the end')
  const closing = server.app.close({ graceMs: 20_000 })
  host.answers[0]?.end()
  await closing
  const storage = await openStorage({ url: await databaseAt(join(server.dataDir, 'simpleia.db')) })
  const row = await storage.db.selectFrom('messages').selectAll().where('id', '=', answer.id).executeTakeFirst()
  expect(row).toMatchObject({ state: 'done', content: 'to the end' })
  await storage.close()
})

test('closing waits until what was being written is saved, and nothing begins afterwards', async () => {
  await using world = await openConversationsWorld()
  const owner = { column: 'visitor', value: 'v' } as const
  const asker = { key: 'address:::1', authenticated: false, userId: undefined, keyId: undefined }
  const storage = await openStorage({ url: await databaseAt(join(world.server.dataDir, 'other.db')) })
  const parts = { db: storage.db, instanceId: 'one', now: Date.now }
  const messages = createMessages(parts)
  const { id } = await createConversations(parts).create(owner, {})
  const answering = createAnswering({
    ...{ db: storage.db, messages, log: world.server.app.http.log, hint: async () => {}, admission: createLifecycle() },
    predict: {
      choose: async () => ({ provider: 'hf', model: 'x', ranOn: 'local', why: 'default', passedBy: [] }),
      async open(_request, _asker, signal) {
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve))
        throw new AppError('aborted', 'The caller left.')
      },
    },
    async *askDocuments() {},
    waitingFor: async () => 'queue',
    isEnding: () => false,
  })
  const { answer } = await answering.begin({ owner, asker }, id, { parent_id, content: 'x' })
  await answering.close()
  expect(await messages.get(owner, id, answer.id)).toMatchObject({ state: 'interrupted', model: 'x' })
  expect(await codeOf(answering.begin({ owner, asker }, id, { parent_id, content: 'x' }))).toBe('unavailable')
  await storage.close()
})

async function startProcess(folder: string) {
  const script = join(import.meta.dirname, 'lifecycle-process.ts')
  const child = spawn(process.execPath, ['--unhandled-rejections=strict', script, folder, '0', 'endless'])
  onTestFinished(() => void child.kill('SIGKILL'))
  const [url]: string[] = await once(createInterface({ input: child.stdout }), 'line')
  return { child, url: url ?? '' }
}

test('after kill -9 in the middle of an answer, what was saved of it is there, and it can be asked for again', {
  timeout: 60_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-conversations-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const first = await startProcess(folder)
  const { client, given } = createBrowser(first.url)
  const { id } = await client.addConversation()
  const { question } = await client.beginAnswer(id, { parent_id, content: 'Go on.' })
  const kept = async () => (await client.messages(id)).items[1]?.content ?? ''
  await expect.poll(kept, patient).not.toBe('')
  const saved = await kept()
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')

  const second = await startProcess(folder)
  const again = createBrowser(second.url, given)
  const { items } = await again.client.messages(id)
  expect(items).toMatchObject([{ content: 'Go on.' }, { state: 'interrupted', content: expect.stringMatching(/^(word )+$/) }])
  expect(items[1]?.content.startsWith(saved)).toBe(true)
  const { answer } = await again.client.beginAnswer(id, { parent_id: question.id })
  expect(answer.version_ids).toEqual([items[1]?.id, answer.id])
  expect((await again.client.stopAnswer(id, answer.id)).state).toBe('stopped')
  expect((await again.client.conversations({ search: 'word' })).items).toHaveLength(1)
})
