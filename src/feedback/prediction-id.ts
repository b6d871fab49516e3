/** What the dialects write before the id of a prediction. */
const prefixes = ['chatcmpl-', 'cmpl-', 'msg_', 'resp_'] as const

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** The id of the prediction behind an id as a dialect gives it out. Any other text is left as it is. */
export function toPredictionId(given: string): string {
  const prefix = prefixes.find((one) => given.startsWith(one))
  const rest = given.slice(prefix?.length ?? 0)
  return prefix !== undefined && uuid.test(rest) ? rest : given
}
