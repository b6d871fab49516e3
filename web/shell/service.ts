import { createClient } from '../../src/client.ts'

/** The service that this page came from. Who asks stands in a cookie that no script can read. */
export const service = createClient({ baseUrl: '', fetch: (input, init) => fetch(input, init) })
