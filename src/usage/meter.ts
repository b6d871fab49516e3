import type { Usage } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import type { Asker, Meter, MeteredTarget } from '../predict/predict.ts'
import type { Database } from '../storage/tables.ts'
import { writeLightly } from '../storage/write-lightly.ts'
import { type DefaultQuota, findSubjects, type Subject, withoutLimits } from './quota.ts'
import { addUsage, type DayUsage, dayOf, nextDayMs, readUsage, tokensOf } from './usage-days.ts'

export type MeterOptions = Readonly<{
  db: Database
  /** Milliseconds since 1970. */
  now: () => number
  defaults: DefaultQuota
  /** What each provider may cost in a UTC day, in US dollars, by its name. */
  ceilings?: () => ReadonlyMap<string, number>
  /** Millionths of a US dollar; undefined where the price is not known, and for this machine's own models. */
  costOf?: (target: MeteredTarget, usage: Usage) => number | undefined
  /** Told what could not be counted, where that stops nobody. */
  onFailure: (error: unknown) => void
}>

/** What somebody or something has used today, and may use. */
export type SubjectState = Subject & Readonly<{ used: DayUsage }>

export interface UsageMeter extends Meter {
  /** The user and the key that ask; nothing for the anonymous. */
  stateOf(asker: Pick<Asker, 'userId' | 'keyId'>): Promise<readonly SubjectState[]>
}

/**
 * Counts requests, tokens and costs by UTC day, in the database. A request is counted when it is let in, so that those which come
 * at the same time pass no limit; tokens and costs are known at its end, so that requests under way may pass theirs once.
 */
export function createMeter(options: MeterOptions): UsageMeter {
  const { db, now, defaults, ceilings = () => new Map(), onFailure } = options
  const costOf = options.costOf ?? (() => undefined)
  /** What answers at an address of this machine may be the way to what costs: a price or a ceiling says so. */
  const canCost = (target: MeteredTarget) =>
    target.ranOn === 'cloud' || ceilings().has(target.provider) || costOf(target, nothingUsed) !== undefined

  return {
    async admit(asker, target, isCounted = false) {
      const asking = await findSubjects(db, asker, defaults)
      const subjects = canCost(target) ? [...asking, providerOf(target, ceilings())] : asking.map(withoutCostLimit)
      if (canCost(target) && costOf(target, nothingUsed) === undefined) refuseUnknownPrice(subjects, target)
      if (subjects.length === 0) return
      const counted = countRequest(db, subjects, { nowMs: now(), isCounted })
      await (subjects.some(isLimited) ? counted : counted.catch(onFailure))
    },

    async note(asker, target, usage) {
      const { promptTokens, completionTokens } = usage
      const costMicros = Math.ceil(costOf(target, usage) ?? 0)
      const names = [...namesOf(asker), ...(canCost(target) ? [nameOf(target)] : [])]
      if (names.length === 0 || promptTokens + completionTokens + costMicros === 0) return
      const day = dayOf(now())
      try {
        await writeLightly(db, async (transaction) => {
          for (const name of names) await addUsage(transaction, name, day, { promptTokens, completionTokens, costMicros })
        })
      } catch (error) {
        onFailure(error)
      }
    },

    async stateOf(asker) {
      const day = dayOf(now())
      const subjects = await findSubjects(db, asker, defaults)
      return Promise.all(subjects.map(async (subject) => ({ ...subject, used: await readUsage(db, subject.name, day) })))
    },
  }
}

const nothingUsed: Usage = { promptTokens: 0, completionTokens: 0, cachedPromptTokens: 0 }

const isLimited = ({ limits }: Subject) => Object.values(limits).some((limit) => limit !== undefined)

/** Who has spent a limit on costs may still ask what costs nothing. */
const withoutCostLimit = (subject: Subject): Subject => ({ ...subject, limits: { ...subject.limits, costMicros: undefined } })

const nameOf = ({ provider }: MeteredTarget) => `provider:${provider}`

function providerOf(target: MeteredTarget, ceilings: ReadonlyMap<string, number>): Subject {
  const ceiling = ceilings.get(target.provider)
  const costMicros = ceiling === undefined ? undefined : Math.round(ceiling * 1_000_000)
  return { name: nameOf(target), kind: 'provider', limits: { ...withoutLimits, costMicros } }
}

function namesOf({ userId, keyId }: Asker): readonly string[] {
  return [...(userId === undefined ? [] : [`user:${userId}`]), ...(keyId === undefined ? [] : [`key:${keyId}`])]
}

/** A limit on costs cannot be held where nobody knows them. */
function refuseUnknownPrice(subjects: readonly Subject[], { provider, model }: MeteredTarget): void {
  if (!subjects.some(({ limits }) => limits.costMicros !== undefined)) return
  const message = `There is a limit on costs, but the price of the model "${model}" of "${provider}" is not known. Use another model.`
  throw new AppError('forbidden', message)
}

type Counting = Readonly<{
  nowMs: number
  /** Whether the request counts already for who asks. */
  isCounted: boolean
}>

async function countRequest(db: Database, subjects: readonly Subject[], { nowMs, isCounted }: Counting): Promise<void> {
  const day = dayOf(nowMs)
  await writeLightly(db, async (transaction) => {
    for (const subject of subjects) {
      // First counted and then compared: whoever comes at the same time waits at the row. A refusal takes it all back.
      await addUsage(transaction, subject.name, day, { requests: isCounted && subject.kind !== 'provider' ? 0 : 1 })
      const used = await readUsage(transaction, subject.name, day)
      refusePastLimit(subject, { ...used, requests: used.requests - 1 }, nowMs)
    }
  })
}

function refusePastLimit(subject: Subject, used: DayUsage, nowMs: number): void {
  const { requests, tokens, costMicros } = subject.limits
  const refuse = (limit: string, spent: string) => {
    const retryAfterSeconds = Math.ceil((nextDayMs(nowMs) - nowMs) / 1000)
    const message = `${describe(subject, limit)} (used: ${spent}). The next day begins at 00:00 UTC, in ${retryAfterSeconds} s.`
    throw new AppError('quota_exceeded', message, { retryAfterSeconds })
  }
  if (requests !== undefined && used.requests >= requests) refuse(`${requests} requests`, `${used.requests}`)
  if (tokens !== undefined && tokensOf(used) >= tokens) refuse(`${tokens} tokens`, `${tokensOf(used)}`)
  if (costMicros !== undefined && used.costMicros >= costMicros) refuse(dollars(costMicros), dollars(used.costMicros))
}

function describe({ kind, name }: Subject, limit: string): string {
  switch (kind) {
    case 'user':
      return `You have used your ${limit} of today`
    case 'key':
      return `This API key has used its ${limit} of today`
    case 'provider':
      return `The provider "${name.slice('provider:'.length)}" has used its ${limit} of today`
  }
}

const dollars = (micros: number) => `${(micros / 1_000_000).toFixed(2)} USD`
