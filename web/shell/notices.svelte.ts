export type Notice = Readonly<{
  id: number
  text: string
  kind: 'info' | 'error'
  /** What the person can do about it, until the notice goes. */
  action?: Readonly<{ label: string; run: () => void }>
}>

const shownMs = 8000
let notices = $state.raw<readonly Notice[]>([])
let lastId = 0
let isHeld = false

export const currentNotices = (): readonly Notice[] => notices

/** Tells something that needs no answer; screen readers say it. With an action it stays longer. */
export function tell(text: string, { kind = 'info', action }: Partial<Pick<Notice, 'kind' | 'action'>> = {}): void {
  lastId += 1
  const notice: Notice = { id: lastId, text, kind, ...(action === undefined ? {} : { action }) }
  notices = [...notices.slice(-2), notice]
  leaveAfter(notice.id, action === undefined ? shownMs : 2 * shownMs)
}

function leaveAfter(id: number, ms: number): void {
  setTimeout(() => (isHeld ? leaveAfter(id, shownMs) : dismiss(id)), ms)
}

/** Nothing goes while somebody points at a notice, or has the focus in one. */
export function hold(held: boolean): void {
  isHeld = held
}

export function dismiss(id: number): void {
  notices = notices.filter((notice) => notice.id !== id)
  // What is gone is neither left by a pointer nor by the focus.
  if (notices.length === 0) isHeld = false
}
