import { randomUUID } from 'node:crypto'
import { AppError } from '../errors.ts'
import type { Database, UsersTable } from '../storage/tables.ts'
import type { Quota } from '../usage/quota.ts'
import { refuseCommonPassword } from './common-password.ts'
import type { Passwords } from './passwords.ts'
import { normalizeUsername, usernameKey } from './username.ts'

export type Role = UsersTable['role']
export type User = Readonly<{ id: string; username: string; role: Role; createdAt: string }> & Quota
/** What a token is issued for. */
export type Account = User & Readonly<{ tokenGeneration: number }>
export type Credentials = Readonly<{ username: string; password: string }>
export type UserPage = Readonly<{ items: readonly User[]; nextCursor: string | undefined }>

export type UserChanges = Readonly<{ role?: Role; quota?: Partial<Quota> }>

export interface Users {
  /** The first user of an installation becomes its admin. Throws `invalid`, `conflict` (taken), `forbidden` (closed). */
  register(credentials: Credentials): Promise<User>
  /** An account that an admin opens for somebody, where registration is closed too. Throws `invalid`, `conflict` (taken). */
  add(credentials: Credentials & Readonly<{ role: Role }>): Promise<User>
  /** Whether anybody has an account. */
  hasAny(): Promise<boolean>
  /** Takes the same time whether the user exists or not. */
  findByPassword(credentials: Credentials): Promise<Account | undefined>
  /** Undefined when the current password is another. Ends all tokens of the user. Throws `invalid` (easily guessed). */
  changePassword(id: string, current: string, next: string): Promise<true | undefined>
  /**
   * For whoever may write to the database itself: the current password is not asked for. Ends all tokens of the user. Undefined where there
   * is none of that name. Throws `invalid` (easily guessed).
   */
  setPassword(username: string, next: string): Promise<User | undefined>
  /** In the order of their names. */
  list(options: Readonly<{ limit: number; cursor: string | undefined }>): Promise<UserPage>
  /**
   * A new role ends all tokens of the user, and a lower one their API keys. Throws `not_found`, and `conflict` for the last admin.
   */
  change(id: string, changes: UserChanges): Promise<User>
  /** Ends all tokens of the user; API keys live on. Throws `not_found`. */
  endSessions(id: string): Promise<void>
  /** Throws `not_found`, and `conflict` for the last admin. */
  remove(id: string): Promise<void>
}

export type UsersOptions = Readonly<{ db: Database; passwords: Passwords; now: () => number; allowRegistration: boolean }>

const userColumns = ['id', 'username', 'role', 'createdAt', 'requestsPerDay', 'tokensPerDay', 'costMicrosPerDay'] as const

export function createUsers({ db, passwords, now, allowRegistration }: UsersOptions): Users {
  const time = () => new Date(now()).toISOString()
  return {
    register: (credentials) => register({ db, passwords, now, allowRegistration }, credentials),

    async add({ username: typed, password, role }) {
      const username = normalizeUsername(typed)
      refuseCommonPassword('password', password, username)
      return insertUser(db, { username, passwordHash: await passwords.hash(password), role, createdAt: time() })
    },

    hasAny: async () => (await db.selectFrom('users').select('id').limit(1).executeTakeFirst()) !== undefined,

    findByPassword: (credentials) => findByPassword(db, passwords, credentials),

    async changePassword(id, current, next) {
      const user = await db.selectFrom('users').select(['username', 'passwordHash']).where('id', '=', id).executeTakeFirst()
      if (!(await passwords.verify(current, user?.passwordHash)) || user === undefined) return undefined
      refuseCommonPassword('new_password', next, user.username)
      const passwordHash = await passwords.hash(next)
      const { numUpdatedRows } = await db
        .updateTable('users')
        .set(({ eb }) => ({ passwordHash, tokenGeneration: eb('tokenGeneration', '+', 1), updatedAt: time() }))
        .where('id', '=', id)
        // Of two changes at once the second knew an old password.
        .where('passwordHash', '=', user.passwordHash)
        .executeTakeFirst()
      return numUpdatedRows === 1n ? true : undefined
    },

    async setPassword(typed, next) {
      const username = normalizeUsername(typed)
      refuseCommonPassword('new_password', next, username)
      const passwordHash = await passwords.hash(next)
      return db
        .updateTable('users')
        .set(({ eb }) => ({ passwordHash, tokenGeneration: eb('tokenGeneration', '+', 1), updatedAt: time() }))
        .where('usernameKey', '=', usernameKey(username))
        .returning(userColumns)
        .executeTakeFirst()
    },

    list: (options) => list(db, options),

    change: (id, { role, quota = {} }) =>
      withLastAdminKept(db, id, async (transaction, user) => {
        const isNewRole = role !== undefined && role !== user.role
        if (isNewRole && role === 'user') await transaction.deleteFrom('apiKeys').where('userId', '=', id).execute()
        return transaction
          .updateTable('users')
          .set(({ eb }) => ({
            ...quota,
            updatedAt: time(),
            ...(isNewRole ? { role, tokenGeneration: eb('tokenGeneration', '+', 1) } : {}),
          }))
          .where('id', '=', id)
          .returning(userColumns)
          .executeTakeFirstOrThrow()
      }),

    async endSessions(id) {
      const { numUpdatedRows } = await db
        .updateTable('users')
        .set(({ eb }) => ({ tokenGeneration: eb('tokenGeneration', '+', 1), updatedAt: time() }))
        .where('id', '=', id)
        .executeTakeFirst()
      if (numUpdatedRows === 0n) throw noUser(id)
    },

    remove: (id) =>
      withLastAdminKept(db, id, async (transaction) => {
        // Their answers go with them, so what they would have had them say goes too.
        await transaction.deleteFrom('feedback').where('userId', '=', id).where('predictionId', 'is not', null).execute()
        await transaction.deleteFrom('users').where('id', '=', id).execute()
      }),
  }
}

async function register({ db, passwords, now, allowRegistration }: UsersOptions, typed: Credentials): Promise<User> {
  const username = normalizeUsername(typed.username)
  const mayRegister = async (database: Database) => {
    const first = (await countUsers(database)) === 0
    if (first || allowRegistration) return first
    throw new AppError('forbidden', 'Registration is closed. Ask an admin for an account.')
  }
  // Asked before as well, so that a closed door, or a name that is taken, costs no hash.
  await mayRegister(db)
  refuseCommonPassword('password', typed.password, username)
  await refuseTaken(db, username)
  const passwordHash = await passwords.hash(typed.password)
  const createdAt = new Date(now()).toISOString()
  return db.transaction().execute(async (transaction) => {
    const role: Role = (await mayRegister(transaction)) ? 'admin' : 'user'
    return insertUser(transaction, { username, passwordHash, role, createdAt })
  })
}

const noUser = (id: string) => new AppError('not_found', `No user has the id "${id}".`)

async function refuseTaken(db: Database, username: string): Promise<void> {
  const known = await db.selectFrom('users').select('id').where('usernameKey', '=', usernameKey(username)).executeTakeFirst()
  if (known !== undefined) throw taken(username)
}

const taken = (username: string) => new AppError('conflict', `The username "${username}" is taken. Choose another one.`)

type NewUser = Readonly<Pick<UsersTable, 'username' | 'passwordHash' | 'role' | 'createdAt'>>

async function insertUser(db: Database, { username, createdAt, ...user }: NewUser): Promise<User> {
  const inserted = await db
    .insertInto('users')
    .values({
      ...user,
      id: randomUUID(),
      username,
      usernameKey: usernameKey(username),
      tokenGeneration: 0,
      createdAt,
      updatedAt: createdAt,
    })
    .onConflict((conflict) => conflict.column('usernameKey').doNothing())
    .returning(userColumns)
    .executeTakeFirst()
  if (inserted === undefined) throw taken(username)
  return inserted
}

async function findByPassword(
  db: Database,
  passwords: Passwords,
  { username, password }: Credentials,
): Promise<Account | undefined> {
  const found = await db
    .selectFrom('users')
    .select([...userColumns, 'tokenGeneration', 'passwordHash'])
    .where('usernameKey', '=', usernameKey(username))
    .executeTakeFirst()
  const { passwordHash, ...account } = found ?? { passwordHash: undefined }
  const fits = await passwords.verify(password, passwordHash)
  return fits && 'id' in account ? account : undefined
}

async function list(db: Database, { limit, cursor }: { limit: number; cursor: string | undefined }): Promise<UserPage> {
  const all = db.selectFrom('users').select([...userColumns, 'usernameKey'])
  const rows = await (cursor === undefined ? all : all.where('usernameKey', '>', Buffer.from(cursor, 'base64url').toString()))
    .orderBy('usernameKey')
    .limit(limit + 1)
    .execute()
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  const nextCursor = rows.length > limit && last ? Buffer.from(last.usernameKey).toString('base64url') : undefined
  return { items: items.map(({ usernameKey: _, ...user }) => user), nextCursor }
}

/** A change to one user that must not leave the installation without an admin. */
async function withLastAdminKept<T>(
  db: Database,
  id: string,
  change: (transaction: Database, user: User) => Promise<T>,
): Promise<T> {
  return db.transaction().execute(async (transaction) => {
    const user = await transaction.selectFrom('users').select(userColumns).where('id', '=', id).executeTakeFirst()
    if (user === undefined) throw noUser(id)
    const result = await change(transaction, user)
    if (user.role === 'admin' && (await countUsers(transaction, 'admin')) === 0) {
      throw new AppError('conflict', `"${user.username}" is the last admin. Make another user an admin first.`)
    }
    return result
  })
}

async function countUsers(db: Database, role?: Role): Promise<number> {
  const all = db.selectFrom('users').select(({ fn }) => fn.countAll<number>().as('count'))
  const { count } = await (role === undefined ? all : all.where('role', '=', role)).executeTakeFirstOrThrow()
  return Number(count)
}
