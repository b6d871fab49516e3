import { onTestFinished } from 'vitest'
import { type StartOptions, startServer } from '../server.ts'
import type { PageOptions } from './browser.ts'
import { openAt } from './open-app.ts'
import { openUnsteadyProxy } from './unsteady-proxy.ts'

/** The service with its chat page open, behind a way that can be bad. */
export async function openThrough(options: StartOptions, context: PageOptions = {}) {
  const server = await startServer(options)
  onTestFinished(() => server[Symbol.asyncDispose]())
  const way = await openUnsteadyProxy(server.port)
  return { server, way, ...(await openAt(way.url, context)) }
}
