/** A part of a row, as people read it. */
export type RowTurn = Readonly<{
  who: 'system' | 'userTurn' | 'assistant' | 'chosen' | 'rejected' | 'textRow'
  text: string
  isLearned: boolean
}>

/** The parts of a row as it is exported: messages, a text, or a prompt with two answers. */
export function rowTurns(row: Readonly<Record<string, unknown>>): readonly RowTurn[] {
  if (typeof row.text === 'string') return [{ who: 'textRow', text: row.text, isLearned: true }]
  if (row.chosen !== undefined)
    return [
      ...turnsOf(row.prompt, false),
      ...turnsOf(row.chosen, true).map((turn) => ({ ...turn, who: 'chosen' as const })),
      ...turnsOf(row.rejected, true).map((turn) => ({ ...turn, who: 'rejected' as const })),
    ]
  return turnsOf(row.messages, true)
}

const roles: Readonly<Record<string, RowTurn['who']>> = { system: 'system', user: 'userTurn', assistant: 'assistant' }

function turnsOf(messages: unknown, learns: boolean): readonly RowTurn[] {
  if (!Array.isArray(messages)) return []
  return messages.flatMap((message: unknown): readonly RowTurn[] => {
    if (typeof message !== 'object' || message === null || !('role' in message) || !('content' in message)) return []
    const who = roles[String(message.role)]
    if (who === undefined) return []
    const isSkipped = 'weight' in message && message.weight === 0
    return [{ who, text: String(message.content), isLearned: learns && who === 'assistant' && !isSkipped }]
  })
}
