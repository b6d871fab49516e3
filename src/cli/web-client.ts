import { access } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import serveFiles from '@fastify/static'
import { fastify } from 'fastify'

const folder = fileURLToPath(new URL('../../web/dist', import.meta.url))

/** Whether a built web client lies beside the program. */
export function hasWebClient(): Promise<boolean> {
  return access(`${folder}/index.html`).then(
    () => true,
    () => false,
  )
}

/** A server for the files of the web client, and nothing else. */
export async function createWebClient() {
  const http = fastify({ forceCloseConnections: true })
  await http.register(serveFiles, { root: folder })
  return { http, close: () => http.close() }
}
