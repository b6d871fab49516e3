import type { PredictRequest } from '../predict/predict.ts'
import { predictBounds } from '../predict/schema.ts'
import { type CompletionBody, defaultCompletionTokens } from './openai-completion-schema.ts'
import { toAnswerRequest } from './openai-fields.ts'
import { type HarmlessValues, refuseLoneStreamOptions, refuseUnsupported, wrongField } from './refuse-fields.ts'

const harmless: HarmlessValues = { service_tier: ['auto', 'default'], suffix: [''] }

/** What a request asks, prompt by prompt, and what stands before the answer to each. */
export type CompletionQuestions = Readonly<{ questions: readonly PredictRequest[]; echoes: readonly string[] }>

/** The request of the wire as ours, one for each prompt. Throws `invalid`. */
export function fromCompletionBody(body: CompletionBody): CompletionQuestions {
  refuseUnsupported(body, harmless)
  refuseLoneStreamOptions(body)
  const { n = 1, best_of: bestOf = n, echo = false, logprobs } = body
  if (bestOf !== n) throw wrongField('best_of', `left out, or as many as n (${n})`, String(bestOf))
  if (echo && logprobs !== undefined) throw wrongField('echo', 'false together with logprobs', 'true')
  const prompts = readPrompts(body.prompt)
  if (prompts.length * n > predictBounds.choices)
    throw wrongField('n', `so that all prompts have ${predictBounds.choices} answers together at most`, String(n))
  const common = {
    ...toAnswerRequest(body),
    maxTokens: body.max_tokens ?? defaultCompletionTokens,
    ...(logprobs === undefined ? {} : { logprobs }),
  }
  // One model writes all of an answer.
  const together = prompts.length > 1 ? { conversation: prompts.join('\n') } : {}
  return {
    questions: prompts.map((text) => ({ ...common, ...together, prompt: { type: 'text', text } })),
    echoes: prompts.map((text) => (echo ? text : '')),
  }
}

function readPrompts(prompt: CompletionBody['prompt']): readonly string[] {
  if (typeof prompt === 'string') return [checkPrompt(prompt, 'prompt')]
  return prompt.map((one, index) => checkPrompt(one, prompt.length === 1 ? 'prompt' : `prompt.${index}`))
}

function checkPrompt(prompt: unknown, field: string): string {
  const most = predictBounds.promptCharacters
  if (typeof prompt !== 'string') throw wrongField(field, 'a text (tokens would be those of another model)', 'something else')
  if (prompt.length > 0 && prompt.length <= most) return prompt
  throw wrongField(field, `a text of 1 to ${most} characters`, `one of ${prompt.length}`)
}
