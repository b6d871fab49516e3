import type { Result } from './ask.ts'
import type { Asked } from './requests.ts'

/** `wrong`: the service did what it must not do. */
export const outcomes = ['answered', 'left', 'busy', 'refused', 'wrong'] as const
export type Outcome = (typeof outcomes)[number]

/** The right answer to a known question. */
export type KnownAnswer = Readonly<{ texts: readonly string[]; reasons: readonly string[] }>

export type Verdict = Readonly<{
  outcome: Outcome
  /** What is wrong. */
  fault?: string
}>

/** Says what came of a request; `known` are the right answers to the known questions. */
export function judge(asked: Asked, result: Result, known: readonly KnownAnswer[]): Verdict {
  switch (result.type) {
    case 'failed':
      if (result.code === 'busy') return { outcome: 'busy' }
      if (result.code === asked.refusal) return { outcome: 'refused' }
      return wrong(`${result.code}: ${result.message}`)
    case 'left': {
      const right = known[asked.knownIndex ?? -1]
      const isBeginning = right === undefined || oneBreak(right.texts[0] ?? '').startsWith(oneBreak(result.text))
      return isBeginning ? { outcome: 'left' } : wrong(describeDifference(asked, [result.text], known))
    }
    case 'answered': {
      const fault = faultOf(asked, result, known)
      return fault === undefined ? { outcome: 'answered' } : wrong(fault)
    }
  }
}

const wrong = (fault: string): Verdict => ({ outcome: 'wrong', fault })

function faultOf(asked: Asked, { texts, reasons }: KnownAnswer, known: readonly KnownAnswer[]): string | undefined {
  if (asked.refusal !== undefined) return `answered instead of ${asked.refusal}`
  const right = known[asked.knownIndex ?? -1]
  if (right !== undefined && !isEqual(texts.map(oneBreak), right.texts.map(oneBreak)))
    return describeDifference(asked, texts, known)
  if (right !== undefined && !isEqual(reasons, right.reasons)) return `ended by ${reasons} instead of ${right.reasons}`
  if (asked.way === 'chat') return undefined
  const { num_return_sequences = 1, stop = [], json_schema } = asked.body
  if (texts.length !== num_return_sequences) return `${texts.length} answers instead of ${num_return_sequences}`
  const stops = [stop].flat()
  if (texts.some((text) => stops.some((one) => text.includes(one)))) return `a stop text in ${JSON.stringify(texts)}`
  const whole = texts.filter((_, index) => reasons[index] === 'stop')
  if (json_schema !== undefined && !whole.every(isJson)) return `no JSON: ${JSON.stringify(texts)}`
  return undefined
}

/** Streams of server-sent events have one kind of line break. */
const oneBreak = (text: string) => text.replace(/\r\n?/g, '\n')

function isEqual(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((one, index) => one === right[index])
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Whose text it is, if it is that of another question, and from where it is another one. */
function describeDifference({ knownIndex = -1 }: Asked, texts: readonly string[], known: readonly KnownAnswer[]): string {
  const owner = known.findIndex((answer, index) => index !== knownIndex && texts.some((text) => answer.texts.includes(text)))
  if (owner >= 0) return `question ${knownIndex} got the answer to question ${owner}`
  const right = known[knownIndex]?.texts ?? []
  const index = texts.findIndex((text, at) => text !== right[at])
  const [expected, got] = [right[index] ?? '', texts[index] ?? '']
  let same = 0
  while (same < got.length && got[same] === expected[same]) same += 1
  const show = (text: string) => JSON.stringify(text.slice(Math.max(0, same - 10), same + 30))
  return `question ${knownIndex} got another text from character ${same} on: ${show(got)} instead of ${show(expected)}`
}
