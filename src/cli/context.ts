import type { Readable, Writable } from 'node:stream'
import { parseEnv } from 'node:util'
import { type Client, createClient } from '../client.ts'
import type { Language } from '../config/kinds.ts'
import { type Config, type Environment, loadConfig } from '../config.ts'
import { AppError } from '../errors.ts'
import { findRule } from '../field-rules.ts'
import { findToken } from './credentials.ts'
import { failures, type Say } from './messages.ts'

export type Terminal = Readonly<{
  input: Readable & { isTTY?: boolean }
  /** For what the command is asked for. */
  output: Writable & { isTTY?: boolean }
  /** For everything that is said about it. */
  notes: Writable & { isTTY?: boolean }
}>

/** What a command has to work with. */
export type Context = Readonly<{
  words: readonly string[]
  /** The command's own flags that were given. */
  flags: ReadonlySet<string>
  /** What was given with those that have a value. */
  values: ReadonlyMap<string, string>
  /** Settings given as flags, by the name of their variable. */
  settings: Environment
  environment: Environment
  envFile: string | undefined
  language: Language
  say: Say
  terminal: Terminal
  fetch: typeof globalThis.fetch
  version: string
}>

/** The settings; `serves: false` for commands that only call the service. Throws `invalid` with every mistake. */
export function configOf(context: Context, { serves }: Readonly<{ serves: boolean }>): Config {
  const { settings: flags, environment, envFile, language } = context
  return loadConfig({ flags, environment, envFile, language, serves })
}

/** The variables that settings may name, of the environment and of `.env`. */
export function environmentOf({ environment, envFile = '' }: Context): Environment {
  return { ...parseEnv(envFile), ...environment }
}

/** Where the service of these settings is reached from this machine. */
export function addressOf(host: string, port: number): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`
}

/** Where the service of these settings is. */
export function baseUrlOf(context: Context): string {
  const { host, port } = configOf(context, { serves: false })
  return addressOf(host, port)
}

/**
 * Gives `work` a client for the service of these settings, with the token that `login` has kept.
 * What the service refuses comes back as an error in the person's language.
 */
export async function withService<T>(context: Context, work: (client: Client) => Promise<T>): Promise<T> {
  const baseUrl = baseUrlOf(context)
  const client = createClient({ baseUrl, token: await findToken(context, baseUrl), fetch: context.fetch })
  try {
    return await work(client)
  } catch (error) {
    throw error instanceof AppError ? await inWords(error, client, context) : error
  }
}

/** Errors that speak the person's language already. */
const inLanguage = new WeakSet<AppError>()

/** An error of the command line itself, for inside of `withService`: its message is shown as it stands. */
export function refusal(code: AppError['code'], message: string): AppError {
  const error = new AppError(code, message)
  inLanguage.add(error)
  return error
}

/** The same error with a message for people: what it means, what the service said, what to do. */
export async function inWords(
  error: AppError,
  client: Client,
  { language, say }: Pick<Context, 'language' | 'say'>,
): Promise<AppError> {
  if (inLanguage.has(error)) return error
  const isGone =
    error.code === 'unavailable' &&
    (await client.health().then(
      () => false,
      () => true,
    ))
  return new AppError(error.code, isGone ? say('noService', { url: client.baseUrl }) : describeFailure(error, language, say), {
    cause: error,
  })
}

/** In English a service's own message says it all; in other languages it follows in a line of its own. */
export function describeFailure({ code, message, details }: AppError, language: Language, say: Say): string {
  const meaning = language === 'en' ? message : (findRule(details) ?? failures[code])[language]
  const next = code === 'unauthorized' ? ` ${say('logInFirst')}` : ''
  return `${meaning}${next}${language === 'en' ? '' : `\n${say('serviceSays', { message })}`}`
}

export function writeLine(stream: Writable, text = ''): void {
  stream.write(`${text}\n`)
}

/** What others wrote, made harmless for a terminal: an escape sequence in it could otherwise move the cursor or more. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (character) =>
    character === '\n' || character === '\t' || character === '\u200d' ? character : '',
  )
}
