import { readFile } from 'node:fs/promises'
import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import type { Config, Environment } from '../config.ts'
import { AppError } from '../errors.ts'

/** What speaks which API: Anthropic's, OpenAI's, or that of OpenAI on other servers. */
export type ProviderType = 'claude' | 'openai' | 'custom'

/** A provider besides the models of this machine, as somebody has written it down. */
export type ProviderSettings = Readonly<{
  /** As requests call it. */
  name: string
  type: ProviderType
  /** Empty: the official one. Several share the requests. */
  baseUrls: readonly string[]
  apiKey: string | undefined
  /** Those that are offered, the usual one first; empty: whatever the other side has. */
  models: ReadonlyArray<Readonly<{ name: string; contextSize?: number; maxOutputTokens?: number }>>
  limits: Readonly<{
    /** Requests at once. */
    maxParallel?: number
    maxRetries?: number
    /** Seconds until the first piece of an answer, between two pieces, and for all of it. */
    firstTokenSeconds?: number
    idleSeconds?: number
    totalSeconds?: number
    /** US dollars a day. */
    costPerDayUsd?: number
  }>
}>

export type CloudSettings = Readonly<{
  providers: readonly ProviderSettings[]
  /** By name: PROVIDER or PROVIDER/MODEL, in the order in which they are asked. */
  routes: ReadonlyMap<string, readonly string[]>
}>

const name = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$' })
const count = Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 }))
const seconds = Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 86_400 }))
const closed = { additionalProperties: false }

const modelEntry = Type.Union([
  Type.String({ minLength: 1, maxLength: 200 }),
  Type.Object(
    {
      name: Type.String({ minLength: 1, maxLength: 200 }),
      context_size: Type.Optional(Type.Integer({ minimum: 1 })),
      max_output_tokens: Type.Optional(Type.Integer({ minimum: 1 })),
    },
    closed,
  ),
])

const providerEntry = Type.Object(
  {
    name,
    type: Type.Enum(['claude', 'openai', 'custom']),
    base_urls: Type.Optional(Type.Array(Type.String({ pattern: '^https?://' }), { minItems: 1, maxItems: 100 })),
    api_key: Type.Optional(Type.String({ minLength: 1 })),
    api_key_env: Type.Optional(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' })),
    models: Type.Optional(Type.Array(modelEntry, { maxItems: 1000 })),
    limits: Type.Optional(
      Type.Object(
        {
          max_parallel: count,
          max_retries: Type.Optional(Type.Integer({ minimum: 0, maximum: 10 })),
          first_token_seconds: seconds,
          idle_seconds: seconds,
          total_seconds: seconds,
          cost_per_day_usd: Type.Optional(Type.Number({ minimum: 0 })),
        },
        closed,
      ),
    ),
  },
  closed,
)
type ProviderEntry = Static<typeof providerEntry>

const providersFile = Type.Object(
  {
    providers: Type.Optional(Type.Array(providerEntry, { maxItems: 100 })),
    routes: Type.Optional(Type.Record(Type.String(), Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: 20 }))),
  },
  closed,
)

type KeySettings = Pick<Config, 'anthropicApiKey' | 'openaiApiKey' | 'customApiKey' | 'customBaseUrl'>

/**
 * The providers of the settings and of the file (none where it is not there). An entry with the name of a provider that the settings
 * know completes it. `environment` holds the variables that `api_key_env` names. Throws `invalid` with the place that is wrong; a key is
 * never part of the message.
 */
export async function readProviders(path: string, settings: KeySettings, environment: Environment): Promise<CloudSettings> {
  const { providers = [], routes = {} } = await readFileAt(path)
  const written = providers.map((entry) => toSettings(entry, settings, environment, path))
  const known = new Set(written.map((provider) => provider.name))
  const usual = usualProviders(settings).filter((provider) => !known.has(provider.name))
  return { providers: [...usual, ...written], routes: new Map(Object.entries(routes)) }
}

async function readFileAt(path: string): Promise<Static<typeof providersFile>> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return {}
    throw new AppError('invalid', `${path} cannot be read. Check its owner and permissions.`, { cause })
  }
  const content = parseJson(text, path)
  if (Value.Check(providersFile, content)) return content
  const [first] = Value.Errors(providersFile, content)
  const where = (first?.instancePath || 'the whole of it').slice(0, 100)
  // What no field is allowed for has a schema that nothing keeps to.
  const what = first?.keyword === 'boolean' ? 'is unknown' : (first?.message ?? 'is not as expected')
  throw new AppError('invalid', `${path}: ${where} ${what}. docs/cloud.md shows a whole example.`)
}

// Not the parser's own message: it quotes the text, which may hold a key.
function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new AppError('invalid', `${path} must be JSON, and is not.`)
  }
}

const keyOf = (type: ProviderType, { anthropicApiKey, openaiApiKey, customApiKey }: KeySettings) =>
  ({ claude: anthropicApiKey, openai: openaiApiKey, custom: customApiKey })[type]

function usualProviders(settings: KeySettings): ProviderSettings[] {
  const nothing = { baseUrls: [], models: [], limits: {} }
  const { anthropicApiKey, openaiApiKey, customBaseUrl, customApiKey } = settings
  return [
    ...(anthropicApiKey === undefined ? [] : [{ ...nothing, name: 'claude', type: 'claude' as const, apiKey: anthropicApiKey }]),
    ...(openaiApiKey === undefined ? [] : [{ ...nothing, name: 'openai', type: 'openai' as const, apiKey: openaiApiKey }]),
    ...(customBaseUrl === undefined
      ? []
      : [{ ...nothing, name: 'custom', type: 'custom' as const, baseUrls: [customBaseUrl], apiKey: customApiKey }]),
  ]
}

function toSettings(entry: ProviderEntry, settings: KeySettings, environment: Environment, path: string): ProviderSettings {
  const { type, api_key: written, api_key_env: variable, base_urls: given, models = [], limits = {} } = entry
  const wrong = (what: string) => new AppError('invalid', `${path}: the provider "${entry.name}" ${what}.`)
  if (entry.name === 'hf') throw wrong('has the name of the models on this machine: choose another')
  const fromEnvironment = variable === undefined ? undefined : environment[variable]?.trim() || undefined
  if (variable !== undefined && fromEnvironment === undefined)
    throw wrong(`takes its key from ${variable}, which is not set in the environment or in .env`)
  // Only under its own name: another server must not be sent the key of an official one.
  const usualKey = entry.name === type ? keyOf(type, settings) : undefined
  const usualUrl = entry.name === 'custom' && settings.customBaseUrl !== undefined ? [settings.customBaseUrl] : []
  const baseUrls = given ?? usualUrl
  if (type === 'custom' && baseUrls.length === 0) throw wrong('needs base_urls')
  const apiKey = written ?? fromEnvironment ?? usualKey
  if (type !== 'custom' && apiKey === undefined) throw wrong('needs a key: api_key_env or api_key')
  return { name: entry.name, type, baseUrls, apiKey, models: models.map(toModel), limits: toLimits(limits) }
}

function toModel(entry: Static<typeof modelEntry>): ProviderSettings['models'][number] {
  if (typeof entry === 'string') return { name: entry }
  const { name: model, context_size: contextSize, max_output_tokens: maxOutputTokens } = entry
  return {
    name: model,
    ...(contextSize === undefined ? {} : { contextSize }),
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
  }
}

function toLimits(limits: NonNullable<ProviderEntry['limits']>): ProviderSettings['limits'] {
  const pairs = [
    ['maxParallel', limits.max_parallel],
    ['maxRetries', limits.max_retries],
    ['firstTokenSeconds', limits.first_token_seconds],
    ['idleSeconds', limits.idle_seconds],
    ['totalSeconds', limits.total_seconds],
    ['costPerDayUsd', limits.cost_per_day_usd],
  ] as const
  return Object.fromEntries(pairs.filter(([, value]) => value !== undefined))
}
