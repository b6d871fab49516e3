import { createClient } from '../src/client.ts'
import type { MessageAnswer, MessageEvent } from '../src/conversations/schema.ts'
import type { GenerateEvent, GenerateRequest, ModelHost } from '../src/engine/provider.ts'
import { AppError } from '../src/errors.ts'
import { createScriptedHost, generationEnd } from './scripted-host.ts'
import { type StartOptions, startServer } from './server.ts'

/** An answer of the model that is written as the test says. */
export type HeldAnswer = Readonly<{
  request: GenerateRequest
  /** Whether nobody waits for it any more. */
  isLeft(): boolean
  give(...events: readonly GenerateEvent[]): void
  say(...texts: readonly string[]): void
  end(): void
  fail(error: AppError): void
}>

/** A host of one model, "scripted", that writes nothing by itself. */
export function createHeldHost(): ModelHost & { readonly answers: readonly HeldAnswer[] } {
  const answers: HeldAnswer[] = []
  return {
    ...createScriptedHost(() => []),
    answers,
    async *generate(request, signal) {
      const waiting: Array<GenerateEvent | AppError> = []
      let woken = Promise.withResolvers<void>()
      const give = (...events: ReadonlyArray<GenerateEvent | AppError>) => {
        waiting.push(...events)
        woken.resolve()
      }
      signal.addEventListener('abort', () => woken.resolve())
      const say = (...texts: readonly string[]) => give(...texts.map((text) => ({ type: 'text-delta', index: 0, text }) as const))
      const end = () => give({ type: 'choice-end', index: 0, reason: 'stop' }, generationEnd())
      answers.push({ request, isLeft: () => signal.aborted, give, say, end, fail: give })
      for (;;) {
        for (let event = waiting.shift(); event !== undefined; event = waiting.shift()) {
          if (event instanceof AppError) throw event
          yield event
          if (event.type === 'generation-end') return
        }
        if (signal.aborted) throw new AppError('aborted', 'The caller left.')
        await woken.promise
        woken = Promise.withResolvers()
      }
    },
  }
}

export type Client = ReturnType<typeof createClient>

/** A browser: it keeps the cookies that it is given, and may have some from before. */
export function createBrowser(baseUrl: string, before: readonly string[] = [], always: Readonly<Record<string, string>> = {}) {
  const given = [...before]
  const fetchWithCookies: typeof fetch = async (input, init) => {
    const headers = new Headers(init?.headers)
    for (const [name, value] of Object.entries(always)) headers.set(name, value)
    const cookies = new Map(given.map((cookie) => [cookie.split('=')[0], cookie.split(';')[0] ?? '']))
    if (cookies.size > 0) headers.set('cookie', [...cookies.values()].join('; '))
    const response = await fetch(input, { ...init, headers })
    given.push(...response.headers.getSetCookie())
    return response
  }
  return { client: createClient({ baseUrl, fetch: fetchWithCookies }), given }
}

/** The service with a user, and what its host writes. */
export async function openConversationsWorld(options: Partial<StartOptions> = {}) {
  const host = createHeldHost()
  const server = await startServer({ host, ...options })
  const clientOf = async (username: string) => createClient({ baseUrl: server.url, token: await server.login(username) })
  return {
    host,
    server,
    clientOf,
    ana: await clientOf('ana'),
    [Symbol.asyncDispose]: server[Symbol.asyncDispose],
  }
}

/** Everything that is told, up to the end. */
export async function allOf(events: AsyncIterable<MessageEvent>): Promise<MessageEvent[]> {
  const all: MessageEvent[] = []
  for await (const event of events) all.push(event)
  return all
}

/** What a follower has in the end: the text of the snapshot and of the pieces; and the message as the end tells it. */
export function joinedText(events: readonly MessageEvent[]): Readonly<{ text: string; end: MessageAnswer | undefined }> {
  const pieces = events.map((event) => {
    if (event.type === 'snapshot') return event.message.content
    return event.type === 'text' ? event.text : ''
  })
  const last = events.at(-1)
  return { text: pieces.join(''), end: last?.type === 'end' ? last.message : undefined }
}

/** Machines under load take their time. */
export const patient = { timeout: 10_000 } as const

export const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no error',
    (error: unknown) => (error instanceof AppError ? error.code : String(error)),
  )
