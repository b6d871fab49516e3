import type { MetricsAnswer } from '../../../src/training/schema.ts'
import type { ChartData } from './series.ts'

/** The loss by step: of training at each, of what is held out at the end of each epoch. */
export function trainingChart(metrics: Pick<MetricsAnswer, 'steps' | 'epochs'> | undefined): Readonly<{
  steps: readonly number[]
  data: ChartData
}> {
  const { steps: told, epochs } = metrics ?? { steps: [], epochs: [] }
  const trained = new Map(told.map(({ step, loss }) => [step, loss]))
  const heldOut = new Map(epochs.map(({ step, held_out_loss: loss }) => [step, loss]))
  const steps = [...new Set([...trained.keys(), ...heldOut.keys()])].sort((one, other) => one - other)
  return {
    steps,
    data: {
      title: 'training',
      kind: 'lines',
      unit: 'loss',
      series: [
        { name: 'trainLoss', color: 0, values: steps.map((step) => trained.get(step) ?? null) },
        { name: 'heldOutLoss', color: 1, isDashed: true, values: steps.map((step) => heldOut.get(step) ?? null) },
      ],
    },
  }
}
