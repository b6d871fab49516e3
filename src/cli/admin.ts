import type { Client, ListedUser, Page } from '../client.ts'
import { AppError } from '../errors.ts'
import { type Context, printable, withService, writeLine } from './context.ts'
import { askCredentials } from './login.ts'
import { describeModel } from './providers.ts'

/** `admin users list` */
export async function listUsers(context: Context): Promise<number> {
  const { terminal, flags } = context
  return withService(context, async (client) => {
    const users: ListedUser[] = []
    for await (const user of allUsers(client)) users.push(user)
    if (flags.has('json')) writeLine(terminal.output, JSON.stringify(users, null, 2))
    else
      for (const { username, role, created_at } of users)
        writeLine(terminal.output, `${printable(username)}\t${role}\t${created_at}`)
    return 0
  })
}

/** `admin users add USERNAME` */
export async function addUser(context: Context): Promise<number> {
  const { say, terminal } = context
  return withService(context, async (client) => {
    // Says who may not before a password is typed.
    await client.listUsers()
    const { username, password } = await askCredentials(context)
    const added = await client.addUser(username, password)
    writeLine(terminal.notes, say('registered', { username: printable(added.username), role: added.role }))
    return 0
  })
}

/** `admin users role USERNAME admin|user` */
export async function changeRole(context: Context): Promise<number> {
  const { words, say, terminal } = context
  const [name = '', role] = words
  if (role !== 'admin' && role !== 'user') {
    writeLine(terminal.notes, say('wrongArguments', { usage: 'admin users role USERNAME admin|user' }))
    return 2
  }
  return withService(context, async (client) => {
    const { username } = await client.setRole((await getUser(client, name, context)).id, role)
    writeLine(terminal.notes, say('roleChanged', { username: printable(username), role }))
    return 0
  })
}

/** `admin users logout USERNAME` */
export async function logUserOut(context: Context): Promise<number> {
  const { words, say, terminal } = context
  const [name = ''] = words
  return withService(context, async (client) => {
    const user = await getUser(client, name, context)
    await client.endUserSessions(user.id)
    writeLine(terminal.notes, say('userLoggedOut', { username: printable(user.username) }))
    return 0
  })
}

/** `admin users delete USERNAME` */
export async function deleteUser(context: Context): Promise<number> {
  const { words, say, terminal } = context
  const [name = ''] = words
  return withService(context, async (client) => {
    const user = await getUser(client, name, context)
    await client.removeUser(user.id)
    writeLine(terminal.notes, say('userRemoved', { username: printable(user.username) }))
    return 0
  })
}

/** `admin reload` */
export async function reload(context: Context): Promise<number> {
  const { say, terminal } = context
  return withService(context, async (client) => {
    writeLine(terminal.notes, describeModel(await client.reload(), say))
    return 0
  })
}

function allUsers(client: Client) {
  return allPages((cursor) => client.listUsers(cursor))
}

export async function* allPages<T>(load: (cursor: string | undefined) => Promise<Page<T>>): AsyncGenerator<T> {
  let cursor: string | undefined
  do {
    const page = await load(cursor)
    yield* page.items
    cursor = page.next_cursor ?? undefined
  } while (cursor !== undefined)
}

/** The user of that name. Names are compared as the service does: without regard to case. */
export async function getUser(client: Client, name: string, { say }: Context): Promise<ListedUser> {
  const wanted = name.normalize('NFKC').toLowerCase()
  for await (const user of allUsers(client)) if (user.username.normalize('NFKC').toLowerCase() === wanted) return user
  throw new AppError('not_found', say('noUser', { name }))
}
