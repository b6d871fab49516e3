import type { Client } from '../client.ts'
import type { ChatMessage } from '../engine/provider.ts'
import { type Context, writeLine } from './context.ts'

type Answer = Readonly<{ id: string; text: string }>

/** The last answer of a conversation, and what was said of it: feedback that follows repeats it, as only the latest counts. */
export type LastAnswer = Answer &
  Readonly<{ correction?: string; rejectedId?: string /** Written again, and not yet kept. */; other?: Answer }>

type Chat = Readonly<{ client: Client; context: Pick<Context, 'say' | 'terminal'>; messages: ChatMessage[] }> & {
  last: LastAnswer | undefined
}

/**
 * `/good`, `/bad`, `/fix` (or `/edit`), `/again` and `/keep`. `writeAgain` shows another answer to the last question. Tells whether the
 * line got what it asked for; undefined for another command.
 */
export async function runFeedbackCommand(
  chat: Chat,
  line: string,
  writeAgain: () => Promise<Answer>,
): Promise<boolean | undefined> {
  const [, name = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(line) ?? []
  if (!['/good', '/bad', '/fix', '/edit', '/again', '/keep'].includes(name)) return undefined
  const { say, terminal } = chat.context
  const { last } = chat
  const refuse = (message: string) => {
    writeLine(terminal.notes, message)
    return false
  }
  if (last === undefined) return refuse(say('chatNothingToRate'))
  switch (name) {
    case '/good':
    case '/bad':
      return send(chat, last, { rating: name === '/good' ? 'up' : 'down', ...(rest === '' ? {} : { text: rest }) })
    case '/again':
      chat.last = { ...last, other: await writeAgain() }
      writeLine(terminal.notes, say('chatKeepWhich'))
      return true
    case '/keep': {
      if (last.other === undefined) return refuse(say('chatNothingToKeep'))
      if (rest !== '1' && rest !== '2') return refuse(say('chatKeepWhich'))
      return keep(chat, last, last.other, rest)
    }
    default:
      if (rest === '') return refuse(say('chatFixHow', { name }))
      goOnFrom(chat, rest)
      return send(chat, { ...last, correction: rest }, { rating: 'down' })
  }
}

/** The answer that is not kept is the rejected one. A correction of the first one goes with it. */
function keep(chat: Chat, { other: _, ...first }: LastAnswer, other: Answer, which: '1' | '2'): Promise<boolean> {
  if (which === '1') return send(chat, { ...first, rejectedId: other.id }, { rating: 'up' })
  goOnFrom(chat, other.text)
  return send(chat, { ...other, rejectedId: first.id }, { rating: 'up' })
}

function goOnFrom({ messages }: Chat, content: string): void {
  messages[messages.length - 1] = { role: 'assistant', content }
}

async function send(chat: Chat, last: LastAnswer, given: Readonly<{ rating: 'up' | 'down'; text?: string }>): Promise<boolean> {
  const { client, context } = chat
  chat.last = last
  const { id, correction, rejectedId } = last
  const { prediction } = await client.sendFeedback({
    prediction_id: id,
    ...given,
    ...(correction === undefined ? {} : { correction }),
    // Who dislikes an answer does not keep it over another one.
    ...(rejectedId === undefined || given.rating === 'down' ? {} : { rejected_prediction_id: rejectedId }),
  })
  writeLine(context.terminal.notes, context.say(prediction === 'unknown' ? 'feedbackUnknown' : 'feedbackSaved'))
  return true
}
