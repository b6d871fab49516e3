import { isSystemError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import type { Context } from './context.ts'

type Listener = Readonly<{
  close(): Promise<void>
  http: { listen(options: { host: string; port: number }): Promise<string> }
}>
type Place = Readonly<{ host: string; port: number; env: 'PORT' | 'CLIENT_PORT'; say: Context['say'] }>

/** Gives the port, which was free to choose when 0 was asked for. Closes the part when it can't listen. */
export async function listen(part: Listener, { host, port, env, say }: Place): Promise<number> {
  try {
    const address = await part.http.listen({ host, port })
    // Not as an URL: that leaves out the port that its scheme has anyway.
    return Number(address.slice(address.lastIndexOf(':') + 1))
  } catch (cause) {
    await part.close()
    const values = { port, env, flag: `--${env.toLowerCase().replace('_', '-')}`, other: port < 1024 ? port + 8000 : port + 10 }
    if (isSystemError(cause, 'EADDRINUSE')) throw new AppError('conflict', say('portInUse', values), { cause })
    if (isSystemError(cause, 'EACCES')) throw new AppError('forbidden', say('portForbidden', values), { cause })
    if (isSystemError(cause, 'EADDRNOTAVAIL', 'ENOTFOUND'))
      throw new AppError('invalid', say('addressUnknown', { host }), { cause })
    throw cause
  }
}
