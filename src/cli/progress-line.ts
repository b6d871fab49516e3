import { type Context, writeLine } from './context.ts'

/** Shows how far work is: on a terminal on one line that changes, elsewhere once for each stage. `end` leaves that line. */
export function createProgressLine({ notes }: Context['terminal']) {
  const isTerminal = notes.isTTY === true
  let stage = ''

  function end(): void {
    if (isTerminal && stage !== '') writeLine(notes)
    stage = ''
  }

  return {
    show(next: string, text: string): void {
      if (stage !== next) end()
      // "\r" goes back to the start of the line, and the escape sequence clears what stood there.
      if (isTerminal) notes.write(`\r\u001b[K  ${text}`)
      else if (stage !== next) writeLine(notes, `  ${text}`)
      stage = next
    },
    end,
  }
}
