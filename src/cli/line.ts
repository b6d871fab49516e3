import { createInterface, type Interface } from 'node:readline'
import type { Client } from '../client.ts'
import type { ChatMessage } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import { type Context, inWords, printable, withService, writeLine } from './context.ts'
import { type LastAnswer, runFeedbackCommand } from './line-feedback.ts'
import { describeModel } from './providers.ts'

/** `line`: a conversation in the terminal; from a pipe, each line is a question. */
export async function runLine(context: Context): Promise<number> {
  return withService(context, (client) => chat(client, context, () => performance.now()))
}

/** What a conversation needs of its surroundings. */
type Surroundings = Pick<Context, 'language' | 'say' | 'terminal'>

type Chat = Readonly<{ client: Client; context: Surroundings; messages: ChatMessage[]; now: () => number }> & {
  /** What was answered last, in this conversation. */
  last: LastAnswer | undefined
}

/** Gives the exit code: 1 when a question from a pipe could not be answered. */
export async function chat(client: Client, context: Surroundings, now: () => number): Promise<number> {
  const { say, terminal } = context
  const isPerson = terminal.input.isTTY === true
  const answering = await client.model()
  const { model_name: model, ran_on: ranOn } = answering
  if (isPerson && ranOn === 'cloud') writeLine(terminal.notes, describeModel(answering, say))
  if (isPerson) writeLine(terminal.notes, model === null ? say('noModelInUse') : say('chatGreeting', { model: printable(model) }))
  const lines = createInterface({
    input: terminal.input,
    terminal: isPerson,
    ...(isPerson ? { output: terminal.output } : {}),
    prompt: '> ',
  })
  const stops = listenToStops(lines, context)
  const conversation: Chat = { client, context, messages: [], now, last: undefined }
  let exitCode = 0
  if (isPerson) lines.prompt()
  for await (const line of lines) {
    const done = await stops.during((signal) => respond(conversation, line.trim(), signal))
    if (!done && !isPerson) exitCode = 1
    if (isPerson && !stops.isClosed()) lines.prompt()
  }
  if (isPerson) writeLine(terminal.output)
  return exitCode
}

/** Ctrl-C ends the answer; where there is none, a second one leaves. */
function listenToStops(lines: Interface, { say, terminal }: Surroundings) {
  let running: AbortController | undefined
  let presses = 0
  lines.on('SIGINT', () => {
    if (running !== undefined && !running.signal.aborted) return running.abort()
    presses += 1
    if (presses > 1) return lines.close()
    writeLine(terminal.notes, `\n${say('chatOnceMore')}`)
    lines.prompt()
  })
  let isClosed = false
  lines.once('close', () => {
    isClosed = true
    // A person who leaves wants no more of the answer; a pipe that ends has asked all its questions.
    if (terminal.input.isTTY) running?.abort()
  })
  return {
    isClosed: () => isClosed,
    /** Runs `work` with a signal that Ctrl-C sets off. */
    async during(work: (signal: AbortSignal) => Promise<boolean>): Promise<boolean> {
      running = new AbortController()
      presses = 0
      try {
        return await work(running.signal)
      } finally {
        running = undefined
      }
    },
  }
}

/** Whether the line got what it asked for. */
async function respond(chat: Chat, line: string, signal: AbortSignal): Promise<boolean> {
  if (line === '') return true
  try {
    if (line.startsWith('/')) return await runSlashCommand(chat, line, signal)
    await answer(chat, line, signal)
    return true
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    const { context, client } = chat
    const { notes } = context.terminal
    writeLine(notes)
    if (error.code === 'aborted') writeLine(notes, context.say('chatStopped'))
    else writeLine(notes, (await inWords(error, client, context)).message)
    if (error.code === 'context_length_exceeded') writeLine(notes, context.say('chatTooLong'))
    return error.code === 'aborted'
  }
}

async function runSlashCommand(chat: Chat, line: string, signal: AbortSignal): Promise<boolean> {
  const { client, context, messages } = chat
  const { say, terminal } = context
  const [name = line, ...words] = line.split(/\s+/)
  switch (name) {
    case '/help':
      writeLine(terminal.notes, `${say('chatHelp')}\n${say('chatFeedbackHelp')}`)
      return true
    case '/reset':
      messages.length = 0
      chat.last = undefined
      writeLine(terminal.notes, say('chatReset'))
      return true
    case '/model': {
      const model = words[0] === undefined ? client.model() : client.select({ model_name: words.join(' ') }, signal)
      writeLine(terminal.notes, describeModel(await model, say))
      return true
    }
    default: {
      const known = await runFeedbackCommand(chat, line, () => write(chat, messages.slice(0, -1), signal))
      if (known === undefined) writeLine(terminal.notes, say('chatUnknown', { name }))
      return known ?? false
    }
  }
}

/** Asks, and shows the answer as it comes. A question without its whole answer leaves the conversation as it was, but for a stop. */
async function answer(chat: Chat, question: string, signal: AbortSignal): Promise<void> {
  const { messages } = chat
  const asked: ChatMessage = { role: 'user', content: question }
  const written: Written = { id: '', text: '' }
  try {
    await write(chat, [...messages, asked], signal, written)
  } catch (error) {
    if (!signal.aborted || written.text === '') throw error
    keep()
    throw error
  }
  keep()

  function keep(): void {
    messages.push(asked, { role: 'assistant', content: written.text })
    chat.last = written.id === '' ? undefined : { ...written }
  }
}

/** What has come of an answer. */
type Written = { id: string; text: string }

/** Shows an answer as it comes, and its speed; `written` grows with it. */
async function write(
  { client, context, now }: Chat,
  messages: readonly ChatMessage[],
  signal: AbortSignal,
  written: Written = { id: '', text: '' },
): Promise<Written> {
  const { output } = context.terminal
  let firstAt: number | undefined
  let tokens = 0
  for await (const event of client.chatStream({ messages }, signal)) {
    written.id = event.id
    if (event.type === 'done') tokens = event.completionTokens
    else {
      firstAt ??= now()
      written.text += event.text
      output.write(printable(event.text))
    }
  }
  writeLine(output)
  showSpeed(context, tokens, now() - (firstAt ?? now()))
  return written
}

function showSpeed({ say, terminal }: Surroundings, tokens: number, ms: number): void {
  if (tokens < 2 || ms <= 0) return
  writeLine(terminal.notes, `  ${say('chatSpeed', { tokens, speed: (((tokens - 1) * 1000) / ms).toFixed(1) })}`)
}
