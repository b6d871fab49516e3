import type { RolloutAnswer, RolloutDetail, RolloutEventItem } from '../client/rollout.ts'
import type { Client } from '../client.ts'
import { AppError } from '../errors.ts'
import { allPages } from './admin.ts'
import { type Context, printable, refusal, withService, writeLine } from './context.ts'
import { type SayOfRollouts, speakOfRollouts } from './rollout-messages.ts'

type Arms = ReadonlyArray<Readonly<{ model: string; share: number }>>

/** `rollout start MODEL=SHARE MODEL=SHARE…` */
export async function startRollout(context: Context): Promise<number> {
  const say = speakOfRollouts(context.language)
  const arms = readArms(context, say)
  const rule = readRule(context, say)
  return withService(context, async (client) => {
    const started = await client.startRollout({
      alias: aliasOf(context),
      arms: [...arms],
      ...(rule === undefined ? {} : { rule }),
    })
    if (tellJson(context, started)) return 0
    const { notes } = context.terminal
    writeLine(notes, say('started', { alias: started.alias, arms: sharesOf(started), id: started.id }))
    for (const { model, ran_on } of started.arms)
      if (ran_on === 'cloud') writeLine(notes, say('leaves', { model: printable(model) }))
    return 0
  })
}

/** `rollout show [ID]` */
export async function showRollouts(context: Context): Promise<number> {
  const { words, terminal, language } = context
  const say = speakOfRollouts(language)
  return withService(context, async (client) => {
    const [id] = words
    const shown = id === undefined ? await listShown(client) : [await client.rollout(id)]
    if (tellJson(context, id === undefined ? shown : shown[0])) return 0
    if (shown.length === 0) writeLine(terminal.notes, say('none'))
    for (const one of shown) for (const line of describe(one, say)) writeLine(terminal.output, printable(line))
    return 0
  })
}

/** Those that run with how they do; of the others the last ones. */
async function listShown(client: Client): Promise<ReadonlyArray<RolloutAnswer | RolloutDetail>> {
  const { items } = await client.rollouts()
  return Promise.all(items.map((one) => (one.state === 'running' ? client.rollout(one.id) : one)))
}

/** `rollout set MODEL=SHARE MODEL=SHARE…` */
export async function changeShares(context: Context): Promise<number> {
  const say = speakOfRollouts(context.language)
  const arms = readArms(context, say)
  return withService(context, async (client) => {
    const { id, version } = await getRunning(client, context)
    const changed = await client.changeRollout(id, { arms: [...arms], version })
    if (tellJson(context, changed)) return 0
    writeLine(context.terminal.notes, say('changed', { alias: changed.alias, arms: sharesOf(changed) }))
    return 0
  })
}

/** `rollout promote [MODEL]` */
export async function promote(context: Context): Promise<number> {
  return withService(context, async (client) => {
    const [model] = context.words
    const { id } = await getRunning(client, context)
    return tellWinner(context, await client.promoteRollout(id, model === undefined ? {} : { model }), 'promoted')
  })
}

/** `rollout rollback` */
export async function rollBack(context: Context): Promise<number> {
  return withService(context, async (client) =>
    tellWinner(context, await client.rollBack({ alias: aliasOf(context) }), 'rolledBack'),
  )
}

/** `rollout end` */
export async function endRollout(context: Context): Promise<number> {
  return withService(context, async (client) => {
    const { id, alias } = await getActive(client, context)
    const ended = await client.endRollout(id)
    if (!tellJson(context, ended)) writeLine(context.terminal.notes, speakOfRollouts(context.language)('ended', { alias }))
    return 0
  })
}

/** `rollout events [ID]` */
export async function showEvents(context: Context): Promise<number> {
  const { words, terminal, language } = context
  const say = speakOfRollouts(language)
  return withService(context, async (client) => {
    const events: RolloutEventItem[] = []
    for await (const event of allPages((cursor) => client.rolloutEvents(words[0], cursor))) events.push(event)
    if (tellJson(context, events)) return 0
    if (events.length === 0) writeLine(terminal.notes, say('noEvents'))
    for (const { created_at, rollout_id, actor, action, details } of events) {
      const columns = [created_at, rollout_id, actor === 'rule' ? say('byRule') : actor, action, JSON.stringify(details)]
      writeLine(terminal.output, columns.map(printable).join('\t'))
    }
    return 0
  })
}

const aliasOf = ({ values }: Context) => values.get('alias') ?? 'default'

function tellJson({ flags, terminal }: Context, value: unknown): boolean {
  if (flags.has('json')) writeLine(terminal.output, JSON.stringify(value, null, 2))
  return flags.has('json')
}

function tellWinner(context: Context, ended: RolloutAnswer, message: 'promoted' | 'rolledBack'): number {
  if (tellJson(context, ended)) return 0
  const winner = ended.arms.filter(({ share }) => share === 100).map(({ model }) => printable(model))
  const values = { alias: ended.alias, model: winner.join() }
  writeLine(context.terminal.notes, speakOfRollouts(context.language)(message, values))
  return 0
}

async function getRunning(client: Client, context: Context): Promise<RolloutAnswer> {
  const alias = aliasOf(context)
  const found = (await client.rollouts()).items.find((one) => one.alias === alias && one.state === 'running')
  if (found !== undefined) return found
  throw refusal('not_found', speakOfRollouts(context.language)('noneRuns', { alias }))
}

/** What runs for the alias, or else has settled what it means. */
async function getActive(client: Client, context: Context): Promise<RolloutAnswer> {
  const alias = aliasOf(context)
  if (alias === 'default') return getRunning(client, context)
  for await (const one of allPages((cursor) => client.rollouts(cursor)))
    if (one.alias === alias && one.state !== 'ended') return one
  throw refusal('not_found', speakOfRollouts(context.language)('noneRuns', { alias }))
}

function readArms({ words }: Context, say: SayOfRollouts): Arms {
  return words.map((word) => {
    // A model's name may hold an equals sign, a share may not.
    const [, model, share] = /^(.+)=(\d+(?:\.\d+)?)%?$/.exec(word) ?? []
    if (model === undefined) throw new AppError('invalid', say('badArm', { value: word }))
    return { model, share: Number(share) }
  })
}

function readRule({ values }: Context, say: SayOfRollouts) {
  const oneOf = <T extends string>(flag: string, allowed: readonly T[]): T | undefined => {
    const value = values.get(flag)
    const found = allowed.find((one) => one === value)
    if (value === undefined || found !== undefined) return found
    throw new AppError('invalid', say('badValue', { flag: `--${flag}`, expected: allowed.join(', '), value }))
  }
  const numberOf = (flag: string): number | undefined => {
    const value = values.get(flag)
    if (value === undefined || /^\d+(?:\.\d+)?$/.test(value)) return value === undefined ? undefined : Number(value)
    throw new AppError('invalid', say('badValue', { flag: `--${flag}`, expected: say('aNumber'), value }))
  }
  const rule = {
    min_ratings: numberOf('min-ratings'),
    promote_when: oneOf('promote-when', ['better', 'not_worse']),
    rollback_when: oneOf('rollback-when', ['worse']),
    max_days: numberOf('max-days'),
    require_evaluation: values.get('require-evaluation'),
  }
  const { min_ratings, promote_when, rollback_when, max_days, require_evaluation } = rule
  if (Object.values(rule).every((value) => value === undefined)) return undefined
  if (min_ratings === undefined) throw new AppError('invalid', say('needsMinRatings'))
  return {
    min_ratings,
    ...(promote_when === undefined ? {} : { promote_when }),
    ...(rollback_when === undefined ? {} : { rollback_when }),
    ...(max_days === undefined ? {} : { max_days }),
    ...(require_evaluation === undefined ? {} : { require_evaluation }),
  }
}

const sharesOf = ({ arms }: RolloutAnswer) => arms.map(({ model, share }) => `${share} % ${printable(model)}`).join(', ')

const states = {
  running: 'running',
  promoted: 'isPromoted',
  'rolled-back': 'isRolledBack',
  ended: 'isEnded',
} as const

function describe(rollout: RolloutAnswer | RolloutDetail, say: SayOfRollouts): readonly string[] {
  const { id, alias, state, created_at, ended_at, blocked_by, rule } = rollout
  const blocked = blocked_by === null ? [] : [`  ${say(blocked_by === 'route' ? 'blockedByRoute' : 'blockedByModel')}`]
  const lines = 'statistics' in rollout ? describeStatistics(rollout, say) : [`  ${sharesOf(rollout)}`]
  const told = rule === null ? [] : [`  ${say('rule', { rule: JSON.stringify(rule) })}`]
  return [say('head', { alias, state: say(states[state]), time: ended_at ?? created_at, id }), ...blocked, ...lines, ...told]
}

function describeStatistics({ arms, statistics }: RolloutDetail, say: SayOfRollouts): readonly string[] {
  const ofArms = statistics.arms.flatMap((arm, at) => {
    const { model, answers, rated, wins, rate, rate_low, rate_high, tokens_per_second, latency_ms, problem, passed_by } = arm
    const counts = { share: arms[at]?.share ?? 0, model, answers, rated, wins }
    const rates = { rate: percent(rate), low: percent(rate_low), high: percent(rate_high) }
    const speeds = { speed: tokens_per_second?.toFixed(1) ?? '-', latency: latency_ms?.toFixed(0) ?? '-' }
    return [
      `  ${say('arm', { ...counts, ...rates, ...speeds })}`,
      ...(problem === null ? [] : [`    ${say('problem', { problem })}`]),
      ...(passed_by === null ? [] : [`    ${say('passedBy', { requests: passed_by.requests, code: passed_by.code })}`]),
    ]
  })
  const ofPairs = statistics.comparisons.map((one) => {
    const verdicts = {
      'candidate-better': 'candidateBetter',
      'baseline-better': 'baselineBetter',
      undecided: 'undecided',
    } as const
    const verdict = say(one.verdict === 'undecided' && !one.enough_data ? 'tooFew' : verdicts[one.verdict])
    const range = { low: percent(one.difference_low), high: percent(one.difference_high) }
    const { candidate, baseline, difference, p_value } = one
    return `  ${say('comparison', { candidate, baseline, difference: percent(difference), ...range, p: p_value.toPrecision(2), verdict })}`
  })
  return [...ofArms, ...ofPairs]
}

const percent = (share: number | null) => (share === null ? '-' : `${(share * 100).toFixed(1)} %`)
