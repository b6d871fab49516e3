import { expect, onTestFinished, test } from 'vitest'
import { auditedRoutes, quietRoutes } from '../../src/admin/audit/actions.ts'
import { createClient } from '../../src/client.ts'
import { saying } from '../answer-scripts.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { type StartOptions, startServer } from '../server.ts'

async function openWorld(options: Partial<StartOptions> = {}) {
  const server = await startServer({ host: createScriptedHost(() => saying('Hello')), ...options })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const token = await server.login('root')
  const root = createClient({ baseUrl: server.url, token })
  const get = (path: string) => fetch(server.url + path, { headers: { authorization: `Bearer ${token}` } })
  return { server, token, root, get }
}

test('every route that may change the service is in the audit, or known to change nothing', async () => {
  const { server } = await openWorld()
  const watched = server.app.routes
    .filter(({ scope, url }) => scope === 'admin' || url.startsWith('/auth/') || url.startsWith('/admin/'))
    .map(({ method, url }) => `${method} ${url}`)
  const known = [...Object.keys(auditedRoutes), ...quietRoutes]
  expect(watched.filter((route) => !known.includes(route))).toEqual([])
  expect(known.filter((route) => !watched.includes(route))).toEqual([])
  expect(new Set(known).size).toBe(known.length)
})
