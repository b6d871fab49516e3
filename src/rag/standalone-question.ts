import type { ChatMessage } from '../engine/provider.ts'
import type { Asker, Predict } from '../predict/predict.ts'

/** Turns that the model sees of a conversation. */
const shownTurns = 6
const mostCharacters = 600

const examples = `Conversation:
User: Who wrote Don Quixote?
Assistant: Miguel de Cervantes [1].
Last question: When was he born?
Question that stands alone: When was Miguel de Cervantes born?

Conversation:
User: ¿Cuánto cuesta la entrada del museo?
Assistant: La entrada cuesta 8 euros [2].
Last question: ¿Y para niños?
Question that stands alone: ¿Cuánto cuesta la entrada del museo para niños?
`

export type StandaloneParts = Readonly<{
  predict: Pick<Predict, 'complete'>
  model: string | undefined
  provider: string | undefined
}>

/**
 * The wordings with which a question is looked for. A follow-up ("and for children?") names nothing that could be found: the model
 * rewrites it so that it stands alone. As small models do that badly at times, the question together with the one before is asked too.
 * Throws `aborted`; where the model fails otherwise, the question is asked as it is.
 */
export async function toQueries(
  parts: StandaloneParts,
  history: readonly ChatMessage[],
  question: string,
  asker: Asker,
  signal: AbortSignal,
): Promise<readonly [string, ...string[]]> {
  const before = history.findLast(({ role }) => role === 'user')
  if (before === undefined) return [question]
  const together = `${before.content} ${question}`.slice(-2 * mostCharacters)
  const rewritten = await rewrite(parts, history, question, asker, signal).catch((error: unknown) => {
    if (signal.aborted) throw error
    return undefined
  })
  return rewritten === undefined || rewritten === question ? [together, question] : [rewritten, together]
}

async function rewrite(
  { predict, model, provider }: StandaloneParts,
  history: readonly ChatMessage[],
  question: string,
  asker: Asker,
  signal: AbortSignal,
): Promise<string | undefined> {
  const turns = history
    .filter(({ role }) => role !== 'system')
    .slice(-shownTurns)
    .map(({ role, content }) => `${role === 'user' ? 'User' : 'Assistant'}: ${onOneLine(content)}`)
  const text = `${examples}\nConversation:\n${turns.join('\n')}\nLast question: ${onOneLine(question)}\nQuestion that stands alone:`
  const { choices } = await predict.complete(
    {
      prompt: { type: 'text', text },
      maxTokens: 64,
      choices: 1,
      sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, given: [], seed: undefined },
      stop: ['\n'],
      model,
      provider,
      // Nobody is told this answer.
      remember: false,
    },
    asker,
    signal,
  )
  const written = choices[0]?.text.trim() ?? ''
  return written === '' || written.length > mostCharacters ? undefined : written
}

const onOneLine = (text: string) => text.replaceAll(/\s+/g, ' ').trim().slice(0, mostCharacters)
