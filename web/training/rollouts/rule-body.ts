import type { RuleBody } from '../../../src/rollout/schema.ts'

export type RuleForm = Readonly<{
  isOn: boolean
  minRatings: number | null
  promoteWhen: '' | 'better' | 'not_worse'
  rollsBack: boolean
  maxDays: number | null
  evaluation: string
}>

export const emptyRule: RuleForm = {
  isOn: false,
  minRatings: 50,
  promoteWhen: 'better',
  rollsBack: true,
  maxDays: null,
  evaluation: '',
}

export function toRule({ isOn, minRatings, promoteWhen, rollsBack, maxDays, evaluation }: RuleForm): RuleBody | undefined {
  if (!isOn) return undefined
  return {
    min_ratings: minRatings ?? 50,
    ...(promoteWhen === '' ? {} : { promote_when: promoteWhen }),
    ...(rollsBack ? { rollback_when: 'worse' as const } : {}),
    ...(maxDays === null ? {} : { max_days: maxDays }),
    ...(evaluation === '' ? {} : { require_evaluation: evaluation }),
  }
}
