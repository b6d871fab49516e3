import { AppError } from '../../errors.ts'
import type { Prompt } from '../provider.ts'

/** Hosts whose owners fetch what an image's address names from outside, as anyone else would. */
const officialHosts: ReadonlySet<string> = new Set(['api.anthropic.com', 'api.openai.com'])

/**
 * Throws `invalid` for images at addresses, unless they go to official hosts alone: any other server may stand in this network, and would
 * fetch from there whatever a caller names.
 */
export function refuseAddresses(provider: string, baseUrls: readonly string[], prompt: Prompt): void {
  if (prompt.type !== 'chat') return
  const images = prompt.messages.flatMap((message) => (message.role === 'user' ? (message.images ?? []) : []))
  if (images.every((image) => image.startsWith('data:')) || baseUrls.every(isOfficial)) return
  const expected = 'images in the request itself, as data: addresses'
  const why = 'its server may not be sent for what an address names'
  throw new AppError('invalid', `The provider "${provider}" takes ${expected}: ${why}.`, {
    details: [{ field: 'messages', expected, got: 'the address of an image' }],
  })
}

function isOfficial(baseUrl: string): boolean {
  const { protocol, hostname } = new URL(baseUrl)
  return protocol === 'https:' && officialHosts.has(hostname)
}
