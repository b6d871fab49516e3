import { createFakeEngine, type FakeEngineOptions } from '../fake-engine.ts'

/** The last question of a conversation, as the prompt of a model without chat template holds it. */
export function lastQuestion(prompt: string): string {
  const start = prompt.lastIndexOf('User: ') + 'User: '.length
  return prompt.slice(start, prompt.lastIndexOf('\nAssistant:'))
}

/** A model that answers with the question itself, cut in the middle so that markup comes in two tokens. */
export function createEcho(options: Omit<FakeEngineOptions, 'answer'> = {}) {
  return createFakeEngine({
    contextSize: 30_000,
    ...options,
    answer(prompt) {
      const question = lastQuestion(prompt)
      const middle = Math.ceil(question.length / 2)
      return { pieces: [question.slice(0, middle), question.slice(middle)] }
    },
  })
}
