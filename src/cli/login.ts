import { createInterface } from 'node:readline/promises'
import { password as promptPassword, text as promptText } from '@clack/prompts'
import { AppError } from '../errors.ts'
import { type Context, withService, writeLine } from './context.ts'
import { saveToken } from './credentials.ts'

/** `login [USERNAME]`: asks for what is missing, without showing the password; from a pipe it reads one line each. */
export async function runLogin(context: Context): Promise<number> {
  const { say, terminal, flags } = context
  return withService(context, async (client) => {
    // Says that nobody is there before a password is typed.
    await client.health()
    const { username, password } = await askCredentials(context)
    if (flags.has('register')) {
      const user = await client.register(username, password)
      writeLine(terminal.notes, say('registered', { username: user.username, role: user.role }))
    }
    const session = await client.login(username, password).catch((error: unknown) => {
      if (error instanceof AppError && error.code === 'unauthorized') return undefined
      throw error
    })
    // Here the usual advice, to log in first, would be none.
    if (session === undefined) {
      writeLine(terminal.notes, say('wrongPassword'))
      return 1
    }
    await saveToken(context, client.baseUrl, session.access_token)
    writeLine(terminal.notes, say('loggedIn', { url: client.baseUrl, username }))
    return 0
  })
}

/** `logout`: ends the token at the service, and forgets it here even when the service no longer knows it. */
export async function runLogout(context: Context): Promise<number> {
  const { say, terminal } = context
  return withService(context, async (client) => {
    const wasKnown = await client.logout().then(
      () => true,
      (error: unknown) => {
        if (error instanceof AppError && error.code === 'unauthorized') return false
        throw error
      },
    )
    await saveToken(context, client.baseUrl, undefined)
    writeLine(terminal.notes, say(wasKnown ? 'loggedOut' : 'notLoggedIn', { url: client.baseUrl }))
    return 0
  })
}

/** The name, if none is given, and the password of an account. */
export async function askCredentials(
  { words, say, terminal }: Context,
  question: 'askPassword' | 'askNewPassword' = 'askPassword',
): Promise<{ username: string; password: string }> {
  const [given] = words
  if (!terminal.input.isTTY) return readCredentials(terminal.input, given)
  const io = { input: terminal.input, output: terminal.notes }
  const username = given ?? answered(await promptText({ ...io, message: say('askUsername') }))
  return { username, password: answered(await promptPassword({ ...io, message: say(question) })) }
}

async function readCredentials(input: NodeJS.ReadableStream, given: string | undefined) {
  const lines: string[] = given === undefined ? [] : [given]
  for await (const line of createInterface({ input })) lines.push(line)
  const [username = '', password = ''] = lines
  return { username, password }
}

function answered(answer: string | symbol): string {
  if (typeof answer === 'symbol') throw new AppError('aborted', '')
  return answer
}
