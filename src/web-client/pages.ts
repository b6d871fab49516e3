import { access } from 'node:fs/promises'
import serveFiles from '@fastify/static'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { AppError } from '../errors.ts'
import { builtPages } from './build.ts'

/** The web client: `GET /` and `GET /admin` with their files. Pages hold no data, so everybody may have them. */
export const webPages = pagesFrom(builtPages)

/** The pages that lie in a folder, as they are built; beside a file that has a `.br` or `.gz`, that is sent to who reads it. */
export function pagesFrom(folder: string): FastifyPluginAsync {
  return (http) => servePages(http, folder)
}

async function servePages(http: FastifyInstance, folder: string): Promise<void> {
  const areBuilt = await access(folder).then(
    () => true,
    () => false,
  )
  if (!areBuilt) {
    for (const path of ['/', '/admin']) http.get(path, { schema: { hide: true } }, refuseUnbuilt)
    return
  }
  // One route for each file that is there now: no other path is ever looked up on the disk.
  await http.register(serveFiles, {
    root: folder,
    wildcard: false,
    preCompressed: true,
    globIgnore: ['**/*.{br,gz}'],
    cacheControl: false,
    setHeaders(reply, path) {
      // The names of those in assets hold a hash of what is in them.
      reply.header('cache-control', path.includes('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache')
    },
  })
  http.get('/admin', { schema: { hide: true } }, (_request, reply) => reply.sendFile('index.html'))
}

async function refuseUnbuilt(): Promise<never> {
  throw new AppError('unavailable', 'The pages are not built yet. Start the service with "./run_llm.sh all", which builds them.')
}
