import { service } from '../shell/service.ts'

export type ModelTrouble = 'missing' | 'failed'

/** What keeps questions from being answered; undefined where nothing does, or the service does not tell this visitor. */
export async function findModelTrouble(): Promise<ModelTrouble | undefined> {
  const answer = await service.model().catch(() => undefined)
  if (answer?.state === 'empty') return 'missing'
  return answer?.state === 'failed' ? 'failed' : undefined
}
