import type { Page } from 'playwright-core'
import { createClient } from '../../src/client.ts'

type Service = Readonly<{ baseUrl: string }>
const admin = 'root'
const passwordOf = (username: string) => `${username} has a long password`

/** A client of the service's first account, which administers it; the first caller opens it. */
export async function adminClient({ baseUrl }: Service) {
  const visitor = createClient({ baseUrl })
  const { has_users: isThere } = await visitor.authState()
  if (!isThere) await visitor.register(admin, passwordOf(admin))
  const { access_token: token } = await visitor.login(admin, passwordOf(admin))
  return createClient({ baseUrl, token })
}

/** Signs the page in as the admin, where it is. */
export async function becomeAdmin(page: Page, service: Service): Promise<void> {
  await adminClient(service)
  await signInAs(page, service, admin)
}

/** Opens an account without rights, and signs the page in with it. */
export async function becomeUser(page: Page, service: Service, username: string): Promise<void> {
  await adminClient(service)
  await createClient(service).register(username, passwordOf(username))
  await signInAs(page, service, username)
}

async function signInAs(page: Page, { baseUrl }: Service, username: string): Promise<void> {
  await page.request.post(`${baseUrl}/auth/login`, { data: { username, password: passwordOf(username) } })
  await page.reload()
}
