import type { Generated } from 'kysely'

/** What went on in a minute or an hour. One that was interrupted by a new start of the service has more than one row. */
export interface HistoryTable {
  id: Generated<number>
  startedAt: string
  seconds: 60 | 3600
  /** A JSON object: what was counted (admin/history/tally.ts). */
  tally: string
}

/** Something that changed the service, or tried to. Rows are only added, and go when they are a year old. */
export interface AuditTable {
  id: string
  createdAt: string
  /** Null for nobody. Outlives the user. */
  userId: string | null
  /** As it was then; of a login, what was tried. */
  username: string | null
  /** What makes two usernames the same. */
  usernameKey: string | null
  keyId: string | null
  address: string
  action: string
  target: string | null
  outcome: 'done' | 'refused' | 'failed'
  /** HTTP status of the answer. */
  status: number
}

export interface AdminTables {
  history: HistoryTable
  audit: AuditTable
}
