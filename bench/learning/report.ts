import { sum } from '../statistics.ts'
import type { Score } from './facts.ts'
import { type LoopResult, stageNames } from './loop.ts'
import type { PreferencesResult } from './preferences.ts'
import type { YieldingResult } from './yielding.ts'

/** What a mode must reach. */
export const targets = {
  rightAfter: 18,
  rightParaphrases: 15,
  forgettingPercent: 3,
  seconds: 300,
  preferenceShare: 0.8,
  firstTokenRatio: 1.5,
} as const

export type Target = Readonly<{ name: string; isMet: boolean }>
export type Report = Readonly<{ markdown: string; targets: readonly Target[] }>

const table = (rows: readonly (readonly string[])[]) => {
  const [head = [], ...rest] = rows
  return [head, head.map(() => '---'), ...rest].map((row) => `| ${row.join(' | ')} |`).join('\n')
}
const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`
const percent = (value: number) => `${value.toFixed(2)} %`
const share = (value: number) => `${(value * 100).toFixed(0)} %`
const score = ({ key, equal, of }: Score) => `${key}/${of} (${equal} to the letter)`
const totalOf = ({ seconds }: LoopResult) => sum(Object.values(seconds))

/** A column for each seed. */
export function reportLoop(results: readonly LoopResult[]): Report {
  const row = (name: string, cell: (result: LoopResult) => string) => [name, ...results.map(cell)]
  const rows = [
    row('Seed', ({ seed }) => String(seed)),
    ...stageNames.map((name) => row(`${name}, seconds`, ({ seconds }) => seconds[name].toFixed(1))),
    row('**in all, seconds**', (result) => totalOf(result).toFixed(1)),
    row('right before', ({ before }) => score(before)),
    row('right after', ({ after }) => score(after)),
    row('right in other words', ({ paraphrases }) => score(paraphrases)),
    row('loss on general text', ({ forgettingPercent: change }) => `${change < 0 ? '' : '+'}${percent(change)}`),
    row('general questions right: base, candidate', ({ general }) => general.join(', ')),
    row('gate', ({ gatePassed }) => (gatePassed ? 'passed' : 'not passed')),
    row('ratings: base, candidate', ({ arms }) => arms.map(({ wins, rated }) => `${wins} of ${rated} up`).join(', ')),
    row('training, steps', ({ steps }) => String(steps)),
    row('training, tokens/s', ({ tokensPerSecond }) => tokensPerSecond.toFixed(0)),
    row('memory of the training', ({ trainerBytes }) => mebibytes(trainerBytes)),
    row('memory of all processes, in no file', ({ peakBytes }) => mebibytes(peakBytes)),
  ]
  const wrong = results.flatMap(({ seed, wrong: list }) => list.map((one) => `- seed ${seed}: ${one.question} ${one.answer}`))
  const targetsOf = results.flatMap((result): readonly Target[] => {
    const target = (name: string, isMet: boolean) => ({ name: `seed ${result.seed}: ${name}`, isMet })
    return [
      target(`at least ${targets.rightAfter} right`, result.after.key >= targets.rightAfter),
      target(`at least ${targets.rightParaphrases} right in other words`, result.paraphrases.key >= targets.rightParaphrases),
      target(`at most ${targets.forgettingPercent} % forgotten`, result.forgettingPercent <= targets.forgettingPercent),
      target(`under ${targets.seconds} seconds`, totalOf(result) < targets.seconds),
    ]
  })
  return {
    markdown: [table(rows), ...(wrong.length === 0 ? [] : ['Still wrong:', wrong.join('\n')])].join('\n\n'),
    targets: targetsOf,
  }
}

export function reportPreferences(result: PreferencesResult): Report {
  const { before, after, byReward } = result
  const markdown = table([
    ['Held-out pairs decided right', 'share'],
    ['pairs to learn from, held out', `${result.trainPairs}, ${result.heldOutPairs}`],
    ['before, by likelihood', share(before)],
    ['after, by likelihood', share(after)],
    ['after, by reward', share(byReward)],
    ['loss on general text', percent(result.forgettingPercent)],
    ['training, seconds', result.trainSeconds.toFixed(1)],
    ['gate, seconds', result.gateSeconds.toFixed(1)],
    ['training, tokens/s', result.tokensPerSecond.toFixed(0)],
    ['memory of the training', mebibytes(result.trainerBytes)],
  ])
  const isMet = Math.min(after, byReward) >= targets.preferenceShare
  return { markdown, targets: [{ name: `at least ${share(targets.preferenceShare)} decided right`, isMet }] }
}

export function reportYielding({ chats, alone, training, steps, yieldedSeconds }: YieldingResult): Report {
  const ms = (value: number) => `${value.toFixed(1)} ms`
  const ratio = (name: 'p50' | 'p95') => training[name] / alone[name]
  const row = (name: 'p50' | 'p95') => [name, ms(alone[name]), ms(training[name]), ratio(name).toFixed(2)]
  const rows = table([['Time to first token', 'nothing running', 'while a run trains', 'ratio'], row('p50'), row('p95')])
  const note = `${chats} chats each. Meanwhile the run did ${steps} steps, and stood still for ${yieldedSeconds.toFixed(1)} s.`
  const target = (name: 'p50' | 'p95') => ({
    name: `${name} at most ${targets.firstTokenRatio} times that of nothing running`,
    isMet: ratio(name) <= targets.firstTokenRatio,
  })
  return { markdown: `${rows}\n\n${note}`, targets: [target('p50'), target('p95')] }
}
