/** Where a reader is in something that scrolls, in pixels. */
export type Position = Readonly<{ top: number; height: number; viewHeight: number }>

const nearEnd = 24

export const isAtEnd = ({ top, height, viewHeight }: Position): boolean => height - top - viewHeight <= nearEnd

/**
 * Whether the view stays at the end while more is written: until its reader scrolls up, and again once they are at the end. That the text
 * became shorter or the view taller moves it up, too, and is no wish of the reader.
 */
export function staysAtEnd(stayed: boolean, before: Position, now: Position): boolean {
  if (isAtEnd(now)) return true
  const hasMovedUp = now.top < before.top && now.height >= before.height && now.viewHeight <= before.viewHeight
  return stayed && !hasMovedUp
}
