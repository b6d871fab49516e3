import type {
  ChangeBody,
  EventAnswer,
  PromoteBody,
  RollbackBody,
  RolloutAnswer,
  RolloutDetail,
  StartBody,
} from '../rollout/schema.ts'
import { query, type Transport } from './transport.ts'

export type { RolloutAnswer, RolloutDetail }
export type RolloutEventItem = EventAnswer

type Page<T> = Readonly<{ items: readonly T[]; next_cursor: string | null }>

/** Models that share requests. */
export function rolloutClient({ json }: Transport) {
  const at = (id: string) => `/rollout/${encodeURIComponent(id)}`
  return {
    /** Those that run first. */
    rollouts: (cursor?: string) => json<Page<RolloutAnswer>>('GET', `/rollout${query({ cursor })}`),
    rollout: (id: string) => json<RolloutDetail>('GET', at(id)),
    startRollout: (body: StartBody) => json<RolloutAnswer>('POST', '/rollout', body),
    changeRollout: (id: string, body: ChangeBody) => json<RolloutAnswer>('PATCH', at(id), body),
    promoteRollout: (id: string, body: PromoteBody = {}) => json<RolloutAnswer>('POST', `${at(id)}/promote`, body),
    rollBackRollout: (id: string) => json<RolloutAnswer>('POST', `${at(id)}/rollback`),
    /** What runs for a name, or else was promoted last. */
    rollBack: (body: RollbackBody = {}) => json<RolloutAnswer>('POST', '/rollout/rollback', body),
    endRollout: (id: string) => json<RolloutAnswer>('POST', `${at(id)}/end`),
    rolloutEvents: (id?: string, cursor?: string) =>
      json<Page<RolloutEventItem>>('GET', `${id === undefined ? '/rollout' : at(id)}/events${query({ cursor })}`),
  }
}
