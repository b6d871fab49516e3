import { randomUUID } from 'node:crypto'
import { insertAudit } from '../admin/audit/audit-rows.ts'
import { createPasswords } from '../auth/passwords.ts'
import { createUsers, type User } from '../auth/users.ts'
import { AppError } from '../errors.ts'
import { openStorage } from '../storage/open-storage.ts'
import type { Database } from '../storage/tables.ts'
import { type Context, configOf, printable, writeLine } from './context.ts'
import { inLanguage } from './in-language.ts'
import { askCredentials } from './login.ts'

/**
 * `admin users password USERNAME`: for whoever may read the settings of the service and its database, who could change it in any case. It
 * needs no login, so that a forgotten password of the only admin locks nobody out. The service may run.
 */
export async function resetPassword(context: Context): Promise<number> {
  const { say, terminal } = context
  const { databaseUrl } = configOf(context, { serves: false })
  const { username, password } = await askCredentials(context, 'askNewPassword')
  if (password.length < 8 || password.length > 1024) throw new AppError('invalid', say('shortPassword'))
  const user = await inLanguage(context, () => setIn(databaseUrl, username, password))
  if (user === undefined) throw new AppError('not_found', say('noUser', { name: username }))
  writeLine(terminal.notes, say('passwordSet', { username: printable(user.username) }))
  return 0
}

async function setIn(url: string, username: string, password: string): Promise<User | undefined> {
  const storage = await openStorage({ url })
  try {
    return await setPassword(storage.db, username, password)
  } finally {
    await storage.close()
  }
}

async function setPassword(db: Database, username: string, password: string): Promise<User | undefined> {
  const users = createUsers({ db, passwords: createPasswords(), now: Date.now, allowRegistration: false })
  const user = await users.setPassword(username, password)
  if (user === undefined) return undefined
  const nobody = { userId: null, username: null, usernameKey: null, keyId: null, address: 'command line' }
  const done = { action: 'password-reset', target: user.id, outcome: 'done', status: 200 } as const
  await insertAudit(db, [{ id: randomUUID(), createdAt: new Date().toISOString(), ...nobody, ...done }])
  return user
}
