import { randomBytes } from 'node:crypto'
import { createBrowser } from '../conversations-world.ts'
import { readEvents } from '../sse-parser.ts'

/** What went wrong with a request; nothing where it was answered as it should be. */
export type Problem = string
export type Outcome = Readonly<{ kind: string; problem: Problem | undefined }>

type Caller = Readonly<{
  post(path: string, body: unknown): Promise<Response>
  get(path: string): Promise<Response>
  browser: ReturnType<typeof createBrowser>['client']
}>

/** The answer to a question of that name. */
const answerTo = (name: string) => `You asked ${name} and nothing else.`
const newName = (client: number, number: number) => `Q-${client}-${number}-${randomBytes(4).toString('hex')}`

/** A caller with an address of its own, so that it has a share of its own of the limits. */
function createCaller(url: string, client: number): Caller {
  const headers = { 'x-forwarded-for': `10.1.${Math.floor(client / 250)}.${(client % 250) + 1}` }
  const { client: browser } = createBrowser(url, [`address=${client}`], headers)
  return {
    post: (path, body) =>
      fetch(`${url}${path}`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    get: (path) => fetch(`${url}${path}`, { headers }),
    browser,
  }
}

async function jsonOf<T>(response: Response): Promise<T> {
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.status} ${text.slice(0, 300)}`)
  return JSON.parse(text)
}

async function eventsOf(response: Response): Promise<readonly Readonly<{ event: string; data: string }>[]> {
  if (!response.ok) throw new Error(`${response.status} ${(await response.text()).slice(0, 300)}`)
  const events = []
  for await (const event of readEvents(response)) events.push(event)
  return events
}

function expectText(name: string, got: string): void {
  if (got !== answerTo(name)) throw new Error(`asked ${name}, got ${JSON.stringify(got.slice(0, 200))}`)
}

type Completion = Readonly<{ choices: ReadonlyArray<Readonly<{ message: Readonly<{ content: string }> }>> }>
type Chunk = Readonly<{ choices: ReadonlyArray<Readonly<{ delta: Readonly<{ content?: string }> }>> }>
type Whole = Readonly<{ id: string; choices: ReadonlyArray<Readonly<{ text: string }>> }>

/** By their names, requests with all that is checked of their answers. They throw what is wrong. */
const kinds: Readonly<Record<string, (caller: Caller, name: string) => Promise<void>>> = {
  async predict({ post }, name) {
    const whole = await jsonOf<Whole>(await post('/predict', { prompt: name }))
    expectText(name, whole.choices[0]?.text ?? '')
  },
  async stream({ post }, name) {
    const events = await eventsOf(await post('/predict', { prompt: name, stream: true }))
    if (events.at(-1)?.event !== 'done') throw new Error(`the stream ended with ${JSON.stringify(events.at(-1))}`)
    expectText(
      name,
      events
        .slice(0, -1)
        .map(({ data }) => data)
        .join(''),
    )
  },
  async chat({ post }, name) {
    const messages = [{ role: 'user', content: name }]
    const whole = await jsonOf<Completion>(await post('/v1/chat/completions', { model: 'fake', messages }))
    expectText(name, whole.choices[0]?.message.content ?? '')
  },
  async 'chat stream'({ post }, name) {
    const messages = [{ role: 'user', content: name }]
    const events = await eventsOf(await post('/v1/chat/completions', { model: 'fake', messages, stream: true }))
    if (events.at(-1)?.data !== '[DONE]') throw new Error(`the stream ended with ${JSON.stringify(events.at(-1))}`)
    const chunks: readonly Chunk[] = events.slice(0, -1).map(({ data }) => JSON.parse(data))
    expectText(name, chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''))
  },
  async conversation({ browser }, name) {
    const { id } = await browser.addConversation()
    const { answer } = await browser.beginAnswer(id, { parent_id: null, content: name })
    expectText(name, await follow(browser, id, answer.id))
    const kept = (await browser.messages(id)).items
    expectText(name, kept[1]?.content ?? '')
    if (kept.length !== 2 || kept[1]?.state !== 'done') throw new Error(`kept ${JSON.stringify(kept).slice(0, 300)}`)
  },
  async feedback({ post }, name) {
    const whole = await jsonOf<Whole>(await post('/predict', { prompt: name }))
    expectText(name, whole.choices[0]?.text ?? '')
    await jsonOf(await post('/feedback', { prediction_id: whole.id, rating: 'up', text: name }))
  },
  async embed({ post }, name) {
    const { embeddings } = await jsonOf<{ embeddings: number[][] }>(await post('/embed/encode', { texts: [name, 'x'] }))
    const [first] = embeddings[0] ?? []
    const raw = [name.length, name.charCodeAt(0), 1]
    if (Math.abs((first ?? 0) - name.length / Math.hypot(...raw)) > 1e-5) throw new Error(`the vector of ${name} is another one`)
  },
  async login({ post, get }, name) {
    const wrong = await post('/auth/login', { username: 'root', password: `not the password ${name}` })
    if (![401, 429].includes(wrong.status)) throw new Error(`a wrong password was answered ${wrong.status}`)
    await jsonOf(await get('/v1/models'))
  },
}

/** As the pages do it: whoever loses the connection asks again, and is told all that is there. */
async function follow(browser: Caller['browser'], id: string, messageId: string): Promise<string> {
  for (let attempt = 0; ; attempt += 1) {
    let text = ''
    try {
      for await (const event of browser.followAnswer(id, messageId)) {
        if (event.type === 'snapshot') text = event.message.content
        if (event.type === 'text') text += event.text
        if (event.type === 'end' && (event.message.content !== text || event.message.state !== 'done'))
          throw new Error(`told ${JSON.stringify(text)}, then ${JSON.stringify(event.message)}`)
        if (event.type === 'end') return text
      }
    } catch (error) {
      if (attempt === 3 || !(error instanceof Error) || error.message.startsWith('told')) throw error
    }
  }
}

/** Many clients at once, each with one request after the other, at least so many of them and until `isEnough`. */
export async function load(
  url: string,
  { clients, atLeast, isEnough }: Readonly<{ clients: number; atLeast: number; isEnough: () => boolean }>,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  const names = Object.keys(kinds)
  async function run(client: number): Promise<void> {
    const caller = createCaller(url, client)
    for (let number = 0; number < atLeast || !isEnough(); number += 1) {
      const kind = names[(client + number) % names.length] ?? ''
      const problem = await kinds[kind]?.(caller, newName(client, number)).then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? `${error.message} ${String(error.cause ?? '')}` : String(error)),
      )
      outcomes.push({ kind, problem })
    }
  }
  await Promise.all(Array.from({ length: clients }, (_, client) => run(client)))
  return outcomes
}
