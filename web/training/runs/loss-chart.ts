import type { ChartConfiguration } from 'chart.js'
import type { EpochAnswer, StepAnswer } from '../../../src/training/schema.ts'

export type Point = Readonly<{ x: number; y: number }>

/** More would not be seen, and cost time at each step. */
const mostPoints = 600

/** At most so many points: every so-manieth, and always the last. */
export function thin<Item>(items: readonly Item[], most = mostPoints): readonly Item[] {
  const every = Math.ceil(items.length / most)
  return every <= 1 ? items : items.filter((_, index) => index === items.length - 1 || index % every === 0)
}

/** The exponential moving average, without the pull towards 0 at its beginning. `weight`: of what was before, from 0 to below 1. */
export function smooth(points: readonly Point[], weight: number): readonly Point[] {
  let sum = 0
  let weights = 0
  return points.map(({ x, y }) => {
    sum = sum * weight + y
    weights = weights * weight + 1
    return { x, y: sum / weights }
  })
}

/** The weight that looks back over about a twentieth of the run. */
export const smoothingWeight = (steps: number): number => 1 - 1 / Math.max(2, Math.min(50, steps / 20 + 1))

/** Steps in their order, each once: a later one with the same number takes the place of the first and of all behind it. */
export function addSteps(steps: readonly StepAnswer[], more: readonly StepAnswer[]): readonly StepAnswer[] {
  const [first] = more
  if (first === undefined) return steps
  return [...upTo(steps, first.step - 1), ...more]
}

/** What counts when a run goes on from a step. */
export function upTo<Item extends Readonly<{ step: number }>>(items: readonly Item[], step: number): readonly Item[] {
  const last = items.at(-1)
  return last === undefined || last.step <= step ? items : items.filter((item) => item.step <= step)
}

export type LossOptions = Readonly<{
  isLogarithmic: boolean
  isSmoothed: boolean
  colors: readonly [string, string, string]
  words: Readonly<Record<'train' | 'smoothed' | 'heldOut' | 'step' | 'loss', string>>
}>

export function lossConfig(
  steps: readonly StepAnswer[],
  epochs: readonly EpochAnswer[],
  { isLogarithmic, isSmoothed, colors, words }: LossOptions,
): ChartConfiguration {
  const all = steps.map(({ step, loss }): Point => ({ x: step, y: loss }))
  const held = epochs.flatMap(({ step, held_out_loss: y }): readonly Point[] => (y === null ? [] : [{ x: step, y }]))
  const [train, smoothed, heldOut] = colors
  // A single point has no line beside it to be seen by.
  const line = {
    borderWidth: 1.5,
    pointRadius: all.length === 1 ? 3 : 0,
    pointHitRadius: 8,
    pointStyle: all.length === 1 ? 'circle' : 'line',
  } as const
  return {
    type: 'line',
    data: {
      datasets: [
        {
          ...line,
          label: words.train,
          data: [...thin(all)],
          borderColor: isSmoothed ? `${train}66` : train,
          backgroundColor: train,
        },
        ...(isSmoothed
          ? [
              {
                ...line,
                borderWidth: 2.5,
                label: words.smoothed,
                data: [...thin(smooth(all, smoothingWeight(all.length)))],
                borderColor: smoothed,
                backgroundColor: smoothed,
              },
            ]
          : []),
        {
          ...line,
          label: words.heldOut,
          data: held,
          borderColor: heldOut,
          backgroundColor: heldOut,
          borderDash: [6, 4],
          pointRadius: 4,
          pointStyle: 'rectRot',
        },
      ],
    },
    options: {
      parsing: false,
      interaction: { mode: 'nearest', axis: 'x', intersect: false },
      scales: {
        x: { type: 'linear', title: { display: true, text: words.step }, ticks: { precision: 0 } },
        y: { type: isLogarithmic ? 'logarithmic' : 'linear', title: { display: true, text: words.loss } },
      },
      plugins: { legend: { position: 'bottom', labels: { usePointStyle: true } } },
    },
  }
}
