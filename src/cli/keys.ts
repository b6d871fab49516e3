import type { ApiKeyItem, Client } from '../client.ts'
import { decimal, duration } from '../config/kinds.ts'
import { AppError } from '../errors.ts'
import { allPages, getUser } from './admin.ts'
import { type Context, printable, withService, writeLine } from './context.ts'
import { type SayOfKeys, speakOfKeys } from './keys-messages.ts'

/** Whose keys: one's own, or those of all users. */
type Whose = 'own' | 'all'

/** `keys list`, `admin keys list` */
export async function listKeys(context: Context, whose: Whose): Promise<number> {
  const { terminal, flags, language } = context
  const say = speakOfKeys(language)
  return withService(context, async (client) => {
    const keys = whose === 'own' ? (await client.keys()).keys : await allKeys(client)
    if (flags.has('json')) writeLine(terminal.output, JSON.stringify(keys, null, 2))
    else if (keys.length === 0) writeLine(terminal.notes, say('noKeys'))
    else for (const key of keys) writeLine(terminal.output, describeKey(key, say))
    return 0
  })
}

async function allKeys(client: Client): Promise<ApiKeyItem[]> {
  const keys: ApiKeyItem[] = []
  for await (const key of allPages((cursor) => client.allKeys(cursor))) keys.push(key)
  return keys
}

function describeKey(key: ApiKeyItem, say: SayOfKeys): string {
  const { id, name, last_four, scopes, expires_at, last_used_at, usage_today, user } = key
  const tokens = usage_today.prompt_tokens + usage_today.completion_tokens
  const parts = [
    id,
    ...(user === undefined ? [] : [user.username]),
    name,
    `…${last_four}`,
    scopes.join(','),
    expires_at === null ? say('forEver') : say('until', { time: expires_at }),
    last_used_at === null ? say('neverUsed') : say('lastUsed', { time: last_used_at }),
    say('usedToday', { requests: usage_today.requests, tokens }),
  ]
  return parts.map(printable).join('\t')
}

/** `keys add NAME`, `admin keys add NAME`: the key alone goes to the output. */
export async function addKey(context: Context): Promise<number> {
  const { words, values, terminal, flags, language } = context
  const [name = ''] = words
  const say = speakOfKeys(language)
  const scopes = values.get('scopes')?.split(',')
  const expiry = values.get('expires')
  const expiresAt = expiry === undefined ? undefined : readExpiry(expiry, say)
  const quota = readQuota(context, say, { allowsDefault: false })
  return withService(context, async (client) => {
    const made = await client.addKey({
      name,
      ...(scopes === undefined ? {} : { scopes }),
      ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
      ...(quota === undefined ? {} : { quota }),
    })
    if (flags.has('json')) writeLine(terminal.output, JSON.stringify(made, null, 2))
    else {
      writeLine(terminal.notes, say('keyMade', { name: printable(made.name), scopes: made.scopes.join(', ') }))
      writeLine(terminal.output, made.key)
    }
    return 0
  })
}

/** `keys revoke ID`, `admin keys revoke ID`: the id, or a key or beginning of a key that holds it. */
export async function revokeKey(context: Context, whose: Whose): Promise<number> {
  const { words, terminal, language } = context
  const [typed = ''] = words
  const id = /^sk-simpleia-([0-9a-f]{16})/.exec(typed)?.[1] ?? typed
  return withService(context, async (client) => {
    await (whose === 'own' ? client.removeKey(id) : client.removeAnyKey(id))
    writeLine(terminal.notes, speakOfKeys(language)('keyRevoked', { id: printable(id) }))
    return 0
  })
}

/** `admin users quota USERNAME` */
export async function changeQuota(context: Context): Promise<number> {
  const { words, terminal, language } = context
  const [wanted = ''] = words
  const say = speakOfKeys(language)
  const changes = readQuota(context, say, { allowsDefault: true })
  return withService(context, async (client) => {
    const user = await getUser(client, wanted, context)
    const { username, quota } = changes === undefined ? user : await client.setQuota(user.id, changes)
    const told = [
      tell(quota.requests_per_day, 'requests', say),
      tell(quota.tokens_per_day, 'tokens', say),
      tell(quota.cost_per_day_usd, 'cost', say),
    ]
    writeLine(terminal.notes, say('quotaChanged', { username: printable(username), quota: told.join(', ') }))
    return 0
  })
}

function tell(amount: number | null, kind: 'requests' | 'tokens' | 'cost', say: SayOfKeys): string {
  return say(kind, { amount: amount === null ? `(${say('usual')})` : amount === 0 ? `(${say('noLimit')})` : amount })
}

const span = { minimum: 0, maximum: 1e15 }

type ReadQuota<T> = Partial<Record<'requests_per_day' | 'tokens_per_day' | 'cost_per_day_usd', T>>

function readQuota(context: Context, say: SayOfKeys, options: { allowsDefault: false }): ReadQuota<number> | undefined
function readQuota(context: Context, say: SayOfKeys, options: { allowsDefault: true }): ReadQuota<number | null> | undefined
function readQuota({ values }: Context, say: SayOfKeys, { allowsDefault }: { allowsDefault: boolean }) {
  const fields = [
    ['requests-per-day', 'requests_per_day'],
    ['tokens-per-day', 'tokens_per_day'],
    ['cost-per-day', 'cost_per_day_usd'],
  ] as const
  const given = fields.flatMap(([flag, field]) => {
    const value = values.get(flag)
    if (value === undefined) return []
    const amount = allowsDefault && value === 'default' ? null : decimal(span).parse(value)
    if (amount !== undefined) return [[field, amount] as const]
    const more = allowsDefault ? say('orDefault') : ''
    throw new AppError('invalid', say('badAmount', { flag: `--${flag}`, value, more }))
  })
  return given.length === 0 ? undefined : Object.fromEntries(given)
}

/** A span from now, or a date, as the service takes it; undefined: never. */
function readExpiry(value: string, say: SayOfKeys): string | undefined {
  const seconds = duration.parse(value)
  if (seconds === Number.POSITIVE_INFINITY) return undefined
  const ms = seconds === undefined ? Date.parse(value) : Date.now() + seconds * 1000
  const date = new Date(ms)
  if (Number.isNaN(date.getTime())) throw new AppError('invalid', say('badExpiry', { value }))
  return date.toISOString()
}
