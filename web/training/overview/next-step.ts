import type { RolloutAnswer } from '../../../src/client/rollout.ts'
import type { DatasetItem } from '../../../src/datasets/schema.ts'
import type { ListedEvaluation } from '../../../src/evaluation/schema.ts'
import type { RunAnswer } from '../../../src/training/schema.ts'
import type { texts } from './texts.ts'

/** The newest of each, and whether there is feedback. */
export type Standing = Readonly<{
  hasFeedback: boolean
  dataset: DatasetItem | undefined
  run: RunAnswer | undefined
  gate: ListedEvaluation | undefined
  rollout: RolloutAnswer | undefined
}>

export const steps = ['feedback', 'dataset', 'run', 'gate', 'rollout'] as const
export type Step = (typeof steps)[number]

type Name = keyof typeof texts
export type NextStep = Readonly<{ step: Step; text: Name; name: string; action: Name; path: readonly string[] }>

/** What makes sense now: the first thing on the path that is not done with what came last. */
export function nextStep({ hasFeedback, dataset, run, gate, rollout }: Standing): NextStep {
  if (rollout?.state === 'running') {
    const name = rollout.arms[1]?.model ?? rollout.alias
    return { step: 'rollout', text: 'nextDecide', name, action: 'goLook', path: ['rollouts', rollout.id] }
  }
  if (dataset === undefined) {
    return hasFeedback
      ? { step: 'dataset', text: 'nextDataset', name: '', action: 'goDataset', path: ['datasets', 'new'] }
      : { step: 'feedback', text: 'nextFeedback', name: '', action: 'goDataset', path: ['datasets', 'new'] }
  }
  // A dataset that was made after the last run has not been learned from.
  if (run === undefined || (run.dataset.id !== dataset.id && run.state === 'completed' && dataset.created_at > run.created_at)) {
    const name = `${dataset.name}:${dataset.version}`
    return { step: 'run', text: 'nextRun', name, action: 'goRun', path: ['runs', 'new', dataset.id] }
  }
  const { served_as: servedAs, name } = run
  if (servedAs === null) {
    const isMoving = run.state === 'running' || run.state === 'queued'
    return { step: 'run', text: isMoving ? 'nextWatch' : 'nextResume', name, action: 'goLook', path: ['runs', run.id] }
  }
  if (gate === undefined || gate.candidate !== servedAs)
    return { step: 'gate', text: 'nextGate', name: servedAs, action: 'goGate', path: ['evaluations', 'new', run.id] }
  const ofGate = { step: 'gate', name: servedAs, action: 'goLook', path: ['evaluations', gate.id] } as const
  if (gate.state === 'queued' || gate.state === 'running') return { ...ofGate, text: 'nextWaitGate' }
  if (gate.state !== 'completed') return { ...ofGate, text: 'nextGate', action: 'goGate', path: ['evaluations', 'new', run.id] }
  if (gate.passed === false) return { ...ofGate, text: 'nextFailed' }
  const isRolledOut = rollout?.arms.some(({ model }) => model === servedAs) ?? false
  return isRolledOut
    ? { step: 'feedback', text: 'nextAgain', name: servedAs, action: 'goDataset', path: ['datasets', 'new'] }
    : { step: 'rollout', text: 'nextRollout', name: servedAs, action: 'goRollout', path: ['rollouts', 'new', servedAs, gate.id] }
}
