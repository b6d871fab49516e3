import { createClient } from '../../src/client.ts'

let onRefused = () => {}

/** Hears of each answer that says that nobody is signed in, whoever asked; those of signing in itself aside. */
export function whenRefused(listener: () => void): void {
  onRefused = listener
}

/** The service that this page came from. Who asks stands in a cookie that no script can read. */
export const service = createClient({
  baseUrl: '',
  async fetch(input, init) {
    const response = await fetch(input, init)
    if (response.status === 401 && !String(input).startsWith('/auth/')) onRefused()
    return response
  },
})
