import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, startServer } from '../server.ts'

/** Who asks, the mightier later: they may remove what the others need. */
export const callers = ['nobody', 'key', 'user', 'admin'] as const
export type CallerName = (typeof callers)[number]

export type ContractWorld = AsyncDisposable &
  Readonly<{
    url: string
    /** What each sends as `Authorization`; nobody sends none. */
    authorizationOf: (caller: CallerName) => string | undefined
    /** Whether the caller is still let in. */
    isKnown: (caller: CallerName) => Promise<boolean>
  }>

/** The whole service with a scripted model, for everybody who is signed in; nothing outside is reached. Each user owns something of each kind. */
export async function openContractWorld(): Promise<ContractWorld> {
  const server = await startServer({
    host: createFakeEngine({
      answer: () => ({ pieces: ['Good', ' day', '{', '}', '[', ']', '"', '1', 'null', ':', ','] }),
      keepsToGrammars: true,
      contextSize: 4096,
    }),
    settings: { ALLOW_ANONYMOUS: 'false', LOCAL_ONLY: 'true' },
  })
  const tokens = new Map<CallerName | 'keeper', string>([
    ['admin', await server.login('root')],
    ['user', await server.login('ana')],
    // Whose keys nobody else sees, and so nobody deletes.
    ['keeper', await server.login('bea')],
  ])
  const authorizationOf = (caller: CallerName | 'keeper') => {
    const token = tokens.get(caller)
    return token === undefined ? undefined : `Bearer ${token}`
  }
  const post = async (caller: CallerName | 'keeper', path: string, body: object) => {
    const headers = { authorization: authorizationOf(caller) ?? '', 'content-type': 'application/json' }
    const response = await fetch(`${server.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return bodyOf<{ id: string; key: string }>(response)
  }
  for (const caller of ['admin', 'user', 'keeper'] as const) {
    await post(caller, '/embed/add', { documents: ['a llama', 'a ship'] })
    await post(caller, '/rag/documents', { name: 'llamas.txt', text: 'A llama is an animal of the Andes.' })
    const conversation = await post(caller, '/conversations', { title: 'llamas' })
    await post(caller, `/conversations/${conversation.id}/answers`, { parent_id: null, content: 'What is a llama?' })
    const prediction = await post(caller, '/predict', { prompt: 'Good' })
    await post(caller, '/feedback', { prediction_id: prediction.id, rating: 'up' })
    await post(caller, '/presets', { name: 'calm', settings: {} })
  }
  await post('admin', '/datasets', { name: 'greetings', rows: [{ prompt: 'Hello', completion: 'Good day' }] })
  const scopes = ['inference', 'documents', 'feedback']
  tokens.set('key', (await post('keeper', '/auth/keys', { name: 'contract', scopes })).key)
  const isKnown = async (caller: CallerName) => {
    const headers = { authorization: authorizationOf(caller) ?? '' }
    return (await fetch(`${server.url}/auth/me`, { headers })).status === 200
  }
  return { url: server.url, authorizationOf, isKnown, [Symbol.asyncDispose]: server[Symbol.asyncDispose] }
}
