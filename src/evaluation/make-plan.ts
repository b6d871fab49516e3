import { AppError } from '../errors.ts'
import type { Asker, Predict } from '../predict/predict.ts'
import type { Contestant, Plan } from './evaluation.ts'
import { type EvaluationBody, evaluationDefaults, type GateBody, type UpgradeBody } from './schema.ts'
import { resolveThresholds } from './verdict.ts'

export type CompletedRun = Readonly<{ id: string /** Its adapter on its base. */; model: string; datasetId: string }>

export type PlanParts = Readonly<{
  choose: Predict['choose']
  /** Whether models elsewhere are out of reach. */
  localOnly: boolean
  /** By id or name. Throws `not_found`, and `conflict` for one without an adapter. */
  getRun: (name: string) => Promise<CompletedRun>
  /** The id of a dataset by its id, NAME or NAME:VERSION. Throws `not_found`. */
  getDatasetId: (name: string) => Promise<string>
}>

export type Planned = Readonly<{ plan: Plan; runId: string | undefined }>

/**
 * What a request asks for, with everything filled in and looked up, before anything is begun. Throws `invalid` with the field, `not_found` and
 * `conflict` of what it names, and `forbidden` for a model elsewhere under LOCAL_ONLY.
 */
export async function makePlan(
  parts: PlanParts,
  body: EvaluationBody,
  caller: Readonly<{ asker: Asker; userId: string }>,
): Promise<Planned> {
  const judge = body.judge === undefined ? undefined : await chooseOne(parts, body.judge)
  const common = { asker: caller.asker, judge, maxTokens: body.max_tokens ?? evaluationDefaults.maxTokens }
  return body.kind === 'gate' ? planGate(parts, body, common) : planUpgrade(parts, body, { ...common, userId: caller.userId })
}

type Common = Pick<Plan, 'asker' | 'judge' | 'maxTokens'>

async function planGate(parts: PlanParts, body: GateBody, common: Common): Promise<Planned> {
  const run = body.run === undefined ? undefined : await parts.getRun(body.run)
  const name = body.candidate ?? run?.model
  if (name === undefined) {
    const details = [{ field: 'candidate', expected: 'the name of a model, or "run" in its place', got: 'nothing' }]
    throw new AppError('invalid', 'Say which model is to be evaluated: "candidate" or "run".', { details })
  }
  const datasetId = body.dataset === undefined ? run?.datasetId : await parts.getDatasetId(body.dataset)
  const [candidate, baseline] = [await chooseOne(parts, name), await chooseOne(parts, body.baseline)]
  refuseSame(baseline, candidate, 'baseline')
  const { max_rows: maxRows = evaluationDefaults.maxRows, max_questions: maxQuestions = evaluationDefaults.maxQuestions } = body
  const thresholds = resolveThresholds(body.thresholds)
  return { plan: { kind: 'gate', ...common, baseline, candidate, datasetId, maxRows, maxQuestions, thresholds }, runId: run?.id }
}

async function planUpgrade(parts: PlanParts, body: UpgradeBody, common: Common & Readonly<{ userId: string }>): Promise<Planned> {
  const [baseline, candidate] = [await chooseOne(parts, body.a), await chooseOne(parts, body.b)]
  refuseSame(baseline, candidate, 'b')
  const { conversations = evaluationDefaults.conversations } = body
  return { plan: { kind: 'upgrade', ...common, baseline, candidate, conversations }, runId: undefined }
}

async function chooseOne({ choose, localOnly }: PlanParts, name: string | undefined): Promise<Contestant> {
  const { provider, model, ranOn } = await choose({ model: name, provider: undefined })
  if (localOnly && ranOn === 'cloud')
    throw new AppError('forbidden', `"${model}" is not on this machine, and LOCAL_ONLY lets nothing leave it.`)
  return { provider, model, ranOn }
}

function refuseSame(baseline: Contestant, candidate: Contestant, field: string): void {
  if (baseline.provider !== candidate.provider || baseline.model !== candidate.model) return
  const details = [{ field, expected: 'another model than the one it is compared with', got: baseline.model }]
  throw new AppError('invalid', `"${baseline.model}" cannot be compared with itself: name another "${field}".`, { details })
}
