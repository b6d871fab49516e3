import { fileURLToPath } from 'node:url'
import serveFiles from '@fastify/static'
import type { FastifyInstance } from 'fastify'

const folder = fileURLToPath(new URL('../../web', import.meta.url))

/** The web client: `GET /` and `GET /admin` with their files. Pages hold no data, so everybody may have them. */
export async function webPages(http: FastifyInstance): Promise<void> {
  // One route for each file that is there now: no other path is ever looked up on the disk.
  await http.register(serveFiles, { root: folder, wildcard: false, globIgnore: ['**/*.json'] })
  http.get('/admin', { schema: { hide: true } }, (_request, reply) => reply.sendFile('admin.html'))
}
