import { spawn } from 'node:child_process'
import { createHash, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { createClient } from '../../src/client.ts'
import { createRandom } from '../../src/engine/local/random.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { times } from '../case-count.ts'
import { documentChunks, documentOf, wholeAnswer } from '../kills/service-texts.ts'
import { databaseAt, onPostgres } from '../postgres/database-at.ts'
import { bodyOf } from '../server.ts'
import { writeTinyModel } from '../tiny-models.ts'
import { addDataset } from '../training-world.ts'

/** A start of the whole service takes a second of a core. */
const kills = times(50, onPostgres ? 3 : 4)
const windowMs = 700
const seed = Number(process.env.KILL_SEED ?? randomInt(1_000_000))
const password = 'ana-has-a-long-password'

type Client = ReturnType<typeof createClient>

/** What was begun, and what of it was told to be done. */
type Done = { conversation: string; answers: string[]; documents: string[]; run: string }

async function openPlace() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-kills-service-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await mkdir(join(folder, 'models'))
  await writeTinyModel('llama', join(folder, 'models'))
  const url = await databaseAt(join(folder, 'simpleia.db'))
  const storage = await openStorage({ url })
  await addDataset(storage.db)
  await storage.close()

  async function start() {
    const environment = { ...process.env, NODE_COMPILE_CACHE: join(folder, 'compiled') }
    const child = spawn(process.execPath, ['test/kills/service-process.ts', folder, url], { env: environment })
    onTestFinished(() => void child.kill('SIGKILL'))
    let complaint = ''
    child.stderr.on('data', (chunk: Buffer) => {
      complaint += chunk.toString()
    })
    const closed = once(child, 'close')
    const [baseUrl = ''] = await Promise.race([
      once(createInterface({ input: child.stdout }), 'line'),
      closed.then(() => Promise.reject(new Error(complaint))),
    ])
    const kill = async () => {
      child.kill('SIGKILL')
      const [, signal] = await closed
      expect({ signal, complaint }).toEqual({ signal: 'SIGKILL', complaint: '' })
    }
    return { baseUrl: String(baseUrl), kill }
  }
  return { folder, start }
}

/** A token, which outlives the process that gave it. */
async function login(baseUrl: string): Promise<string> {
  const body = JSON.stringify({ username: 'ana', password })
  const post = (path: string) =>
    fetch(`${baseUrl}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  await post('/auth/register')
  return (await bodyOf<{ access_token: string }>(await post('/auth/login'))).access_token
}

/** As docs/operations.md says: what was told to be there is there whole, and the rest is whole, interrupted, or not there. */
async function check(client: Client, folder: string, done: Done): Promise<void> {
  const messages = new Map<string, { state: string; content: string }>()
  for (const id of done.answers)
    for (const message of (await client.messages(done.conversation, { leaf: id })).items) messages.set(message.id, message)
  for (const id of done.answers) {
    const { state = 'gone', content = '' } = messages.get(id) ?? {}
    expect(state === 'done' ? content === wholeAnswer : state === 'interrupted' && wholeAnswer.startsWith(content), state).toBe(
      true,
    )
  }
  const documents = done.documents.length === 0 ? [] : await Array.fromAsync(client.documents('default'))
  expect(documents.map(({ name }) => name)).toEqual(expect.arrayContaining(done.documents))
  for (const { id, passages } of documents) {
    expect(passages).toBe(documentChunks)
    expect((await Array.fromAsync(client.documentChunks(id))).length).toBe(documentChunks)
  }
  expect(await readdir(join(folder, 'data', 'uploads')).catch(() => [])).toEqual([])
}

/** The run under way goes on; where it has ended, another one begins. Tells whether it had. */
async function goOnTraining(client: Client, done: Done): Promise<boolean> {
  const run = done.run === '' ? undefined : await client.trainingRun(done.run)
  if (run !== undefined) {
    expect(['queued', 'running', 'interrupted', 'completed']).toContain(run.state)
    // Between a checkpoint and the row of its last step there is a moment, in which such a row is lost; none is there twice.
    const steps = (await client.trainingMetrics(run.id)).steps.map(({ step }) => step)
    expect(steps).toEqual([...new Set(steps)].sort((one, other) => one - other))
  }
  if (run?.state === 'interrupted') {
    expect(run.error?.message).toMatch(/./)
    await client.changeTraining(run.id, 'resume')
  }
  if (run !== undefined && run.state !== 'completed') return false
  done.run = (await client.startTraining({ dataset: 'facts', epochs: 6 })).id
  return run !== undefined
}

/** Asks for an answer, sends a file and trains, all at once, until the service is killed. */
async function work(client: Client, done: Done, name: string): Promise<void> {
  const answering = async () => {
    for (let index = 0; ; index += 1) {
      const asked = { parent_id: null, content: `Question ${name} ${index}?` }
      const { answer } = await client.beginAnswer(done.conversation, asked)
      done.answers.push(answer.id)
      for await (const _event of client.followAnswer(done.conversation, answer.id));
    }
  }
  const sending = async () => {
    // Each takes a process that reads it.
    for (let index = 0; index < 2; index += 1)
      for await (const message of client.addDocument(documentOf(`${name}-${index}`)))
        if (message.type === 'document') done.documents.push(message.name)
  }
  // The end of the service ends both.
  await Promise.allSettled([answering(), sending()])
}

test(`kill -9 of the whole service ${kills} times, amid answers, files and a training, leaves what was told to be there`, {
  timeout: 600_000,
}, async () => {
  const { folder, start } = await openPlace()
  const random = createRandom(seed)
  const done: Done = { conversation: '', answers: [], documents: [], run: '' }
  let completed = 0
  let token: string | undefined
  for (let life = 0; life <= kills; life += 1) {
    const { baseUrl, kill } = await start()
    token ??= await login(baseUrl)
    const client = createClient({ baseUrl, token })
    done.conversation ||= (await client.addConversation()).id
    await check(client, folder, done)
    if (await goOnTraining(client, done)) completed += 1
    const working = work(client, done, `life${life}`)
    if (life < kills) await wait(random() * windowMs)
    else await expect.poll(() => client.trainingRun(done.run), { timeout: 20_000 }).toMatchObject({ state: 'completed' })
    await kill()
    await working
  }
  const adapters = (await readdir(join(folder, 'models'))).filter((name) => name.startsWith('facts') && name.endsWith('.gguf'))
  expect(adapters).toHaveLength(completed + 1)
  const digests = adapters.map(async (name) =>
    createHash('sha256')
      .update(await readFile(join(folder, 'models', name)))
      .digest('hex'),
  )
  // However often a run was killed.
  expect(new Set(await Promise.all(digests)).size).toBe(1)
  expect(done.answers.length, `KILL_SEED=${seed}`).toBeGreaterThan(0)
})
