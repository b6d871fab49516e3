import { AppError } from '../../errors.ts'
import type { Probe } from './addresses.ts'
import type { CloudOptions } from './cloud-options.ts'
import type { EgressCall } from './egress.ts'
import { headersOf } from './errand.ts'

const limitMs = 5000

/** Asks whether a server answers at all; a refusal is an answer, too. All questions after one server are one errand in the ledger. */
export function openServerProbe(options: CloudOptions, url: string): Probe {
  let call: EgressCall | undefined
  return {
    ask(signal) {
      call ??= options.egress.begin({ purpose: 'probe', provider: options.name })
      return askServer(options, call, url, signal)
    },
    end: async () => call?.end(),
  }
}

async function askServer(options: CloudOptions, call: EgressCall, url: string, signal: AbortSignal): Promise<void> {
  const { name, clock } = options
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
  }
}
