import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import type { Kind, Language, Text } from './config/kinds.ts'
import { readSecretFiles } from './config/secret-files.ts'
import type { Setting } from './config/setting.ts'
import { type SettingName, settingRows, settings } from './config/settings.ts'
import { telemetryMistakes } from './config/telemetry-rules.ts'
import { AppError, type ErrorDetail } from './errors.ts'

type ValueOf<S> = S extends { kind: Kind<infer T>; default: infer D } ? (undefined extends D ? T | undefined : T) : never
type Values = { readonly [K in SettingName]: ValueOf<(typeof settings)[K]> }

/** Every setting, checked and frozen. The two whose default depends on others always have a value here. */
export type Config = Readonly<Omit<Values, 'allowAnonymous' | 'databaseUrl'> & { allowAnonymous: boolean; databaseUrl: string }>

export type Environment = Readonly<Record<string, string | undefined>>

export type ConfigSources = Readonly<{
  /** Values from the command line, by the name of the variable (`PORT`). They win over the environment, which wins over the file. */
  flags?: Environment
  environment?: Environment
  /** The text of a `.env` file. */
  envFile?: string | undefined
  language?: Language
  /** False for a command that only calls the service: the rules for whoever listens do not apply. */
  serves?: boolean
}>

/** The environment of the process, as it was at the start. Nothing else in the program reads it. */
export const processEnvironment: Environment = Object.freeze({ ...process.env })

/** Names of secrets that are no settings of ours, such as the keys of providers.json; those of PostgreSQL's client are read when it connects. */
const secretName = /^(?!PG).*(KEY|TOKEN|SECRET|PASSWORD|PASSPHRASE|CREDENTIALS?)$/i

/**
 * Takes the secrets out of the environment that child processes inherit, once `processEnvironment` has been read: those that read models
 * and files of strangers have no use for them.
 */
export function hideSecrets(environment: NodeJS.ProcessEnv = process.env): void {
  const ours = new Set(settingRows.filter(([, setting]) => setting.secret).map(([, { env }]) => env))
  for (const name of Object.keys(environment)) if (ours.has(name) || secretName.test(name)) delete environment[name]
}

/**
 * Gives Node.js more threads for files, names and passwords than its four, before the first is used: where a disk does not answer, each that
 * waits for it holds one, and with the last of them nobody could log in.
 */
export function widenThreadPool(environment: NodeJS.ProcessEnv = process.env): void {
  environment.UV_THREADPOOL_SIZE ??= '16'
}

/** The text of the file `.env`, or undefined where there is none. */
export function readEnvFile(path = '.env'): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw new AppError('invalid', `The settings file ${path} cannot be read. Check its owner and permissions.`, { cause })
  }
}

/** Reads all settings; throws one `invalid` that tells every mistake. Secrets are never part of its message. */
export function loadConfig({
  flags = {},
  environment = {},
  envFile = '',
  language = 'en',
  serves = true,
}: ConfigSources = {}): Config {
  const stated: Environment = { ...parseEnv(envFile), ...withoutEmpty(environment), ...flags }
  const secrets = readSecretFiles(stated, language)
  const { values, mistakes } = readValues({ ...stated, ...secrets.values }, language)
  mistakes.push(...secrets.mistakes)
  // The loop over the table has lost the type of each row; readValues gives every row what its own kind parsed or its default.
  const config = complete(Object.fromEntries(values) as Values)
  if (serves) mistakes.push(...mistakesBetween(config, language, mistakes), ...telemetryMistakes(config, language))
  if (mistakes.length > 0) throw toError(mistakes, language)
  return Object.freeze(config)
}

function withoutEmpty(environment: Environment): Environment {
  return Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined && value.trim() !== ''))
}

function readValues(given: Environment, language: Language): { values: Array<[string, unknown]>; mistakes: ErrorDetail[] } {
  const mistakes: ErrorDetail[] = []
  const values = settingRows.map(([name, setting]): [string, unknown] => {
    const raw = given[setting.env]?.trim() ?? ''
    if (raw === '') return [name, Object.freeze(setting.default)]
    const value = setting.kind.parse(raw)
    if (value === undefined) mistakes.push(mistake(setting, setting.kind.expected[language], raw, language))
    return [name, value ?? setting.default]
  })
  return { values, mistakes }
}

function mistake(setting: Setting, expected: string, raw: string, language: Language): ErrorDetail {
  return { field: setting.env, expected, got: setting.secret ? hidden[language] : JSON.stringify(raw.slice(0, 200)) }
}

function complete(values: Values): Config {
  const open = values.environment === 'development' && isLoopback(values.host)
  return {
    ...values,
    allowAnonymous: values.allowAnonymous ?? open,
    databaseUrl: values.databaseUrl ?? join(values.dataDir, 'simpleia.db'),
  }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

/** The rules that no single setting can tell. One that a mistake in SECRET_KEY already explains is left out. */
function mistakesBetween(config: Config, language: Language, found: readonly ErrorDetail[]): ErrorDetail[] {
  if (config.secretKey !== undefined || found.some(({ field }) => field.startsWith(settings.secretKey.env))) return []
  const rule =
    config.environment === 'production' ? keyRules.production : isLoopback(config.host) ? undefined : keyRules.reachable
  if (rule === undefined) return []
  return [{ field: settings.secretKey.env, expected: rule[language], got: nothing[language] }]
}

const hidden: Text = { en: 'a text that is not shown', es: 'un texto que no se muestra' }
const nothing: Text = { en: 'nothing', es: 'nada' }
const makeKey = `node -e "console.log(crypto.randomBytes(32).toString('base64url'))"`
const keyRules = {
  production: {
    en: `a secret, because ENVIRONMENT is production; make one with: ${makeKey}`,
    es: `un secreto, porque ENVIRONMENT es production; crea uno con: ${makeKey}`,
  },
  reachable: {
    en: `a secret, because other machines can reach HOST (or keep HOST=127.0.0.1); make one with: ${makeKey}`,
    es: `un secreto, porque otras máquinas llegan a HOST (o deja HOST=127.0.0.1); crea uno con: ${makeKey}`,
  },
} as const satisfies Record<string, Text>

function toError(details: readonly ErrorDetail[], language: Language): AppError {
  const heading = { en: 'Some settings need to be mended:', es: 'Hay ajustes que corregir:' }[language]
  const words = { en: ['expected', 'got'], es: ['se esperaba', 'pero hay'] }[language]
  const lines = details.map(({ field, expected, got }) => `${field}: ${words[0]} ${expected}; ${words[1]} ${got}.`)
  return new AppError('invalid', [heading, ...lines].join('\n  '), { details })
}
