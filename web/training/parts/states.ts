/** Signs of states, so that none is told by its colour alone. */
export const signs = {
  queued: '…',
  running: '▸',
  paused: '‖',
  interrupted: '!',
  cancelled: '×',
  failed: '✕',
  completed: '✓',
  promoted: '✓',
  'rolled-back': '↩',
  ended: '■',
} as const
export type StateName = keyof typeof signs
