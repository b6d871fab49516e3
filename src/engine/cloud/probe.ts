import { AppError } from '../../errors.ts'
import type { CloudOptions } from './cloud-options.ts'
import { headersOf } from './errand.ts'

const limitMs = 5000

/** Asks whether a server answers at all; a refusal is an answer, too. Rejects when it does not. */
export async function probeServer(options: CloudOptions, url: string, signal: AbortSignal): Promise<void> {
  const { name, egress, clock } = options
  const call = egress.begin({ purpose: 'probe', provider: name })
  const late = new AbortController()
  const cancel = clock.after(limitMs, () => late.abort())
  try {
    const response = await call.fetch(url, {
      headers: headersOf(options),
      redirect: 'manual',
      signal: AbortSignal.any([signal, late.signal]),
    })
    await response.body?.cancel()
    if (response.status >= 500) throw new AppError('upstream', `A server of the provider "${name}" is not well.`)
  } finally {
    cancel()
    await call.end()
  }
}
