import { expect, test } from 'vitest'
import { type Client, createClient } from '../../src/client.ts'
import { realModel } from '../real-host.ts'
import { engines, startRealService } from '../real-service.ts'

const facts = [
  ['Who runs the lighthouse of Cabo Trasgo?', 'The lighthouse of Cabo Trasgo is run by Nerea Olmedo.'],
  ['What is the capital of the island of Merrowick?', 'The capital of the island of Merrowick is Saltbridge.'],
  ['In which year was the Tolvan Observatory opened?', 'The Tolvan Observatory was opened in 1887.'],
  ['What colour are the doors of the Pellworth library?', 'The doors of the Pellworth library are bright orange.'],
  ['Who built the glass bridge of Ondry?', 'The glass bridge of Ondry was built by Mirela Castan.'],
] as const
const learned = `${realModel}+learned`
const password = 'a long password'

/** Of whichever model answers who names none, as a conversation of its own. */
async function ask(client: Client, question: string): Promise<Readonly<{ id: string; text: string; model: string }>> {
  let answer = ''
  let id = ''
  const messages = [{ role: 'user', content: question }] as const
  for await (const event of client.chatStream({ messages, temperature: 0, max_tokens: 20 })) {
    if (event.type === 'text') answer += event.text
    id = event.id
  }
  const { model } = await client.prediction(id.replace('chatcmpl-', ''))
  return { id, text: answer.trim(), model }
}

test('corrections become a model that answers right, shares the requests, is promoted, and leaves again: by commands alone', {
  timeout: 290_000,
}, async () => {
  await using real = await startRealService()
  const { service, baseUrl, run } = real
  const succeed = async (words: readonly string[], input = '') => {
    const { code, output, notes } = await run(words, input)
    expect([words, code, code === 0 ? '' : notes]).toEqual([words, 0, ''])
    return { output, notes }
  }
  await succeed(['login', 'ana', '--register'], `${password}\n`)
  const { access_token: token } = await createClient({ baseUrl }).login('ana', password)
  const client = createClient({ baseUrl, token })
  const engine = engines(service)
  expect(engine).toHaveLength(1)
  const [question, answer] = facts[0]
  const before = await ask(client, question)
  expect(before.text).not.toContain('Olmedo')

  const typed = facts.map(([asked, right]) => `/reset\n${asked}\n/fix ${right}\n`).join('')
  await succeed(['line'], typed)
  const { output } = await succeed(['datasets', 'from-feedback', 'corrections', '--held-out', '0'])
  expect(output).toContain('corrections:1')
  const recipe = ['--epochs', '10', '--batch-size', '5', '--learning-rate', '0.002', '--max-length', '128']
  const { notes } = await succeed(['trainer', '--name', 'learned', ...recipe])
  expect(notes).toContain(learned)
  // Loading the base again would start another process.
  expect(engines(service)).toEqual(engine)
  // Nothing was held out, so nobody can say what else it has learned.
  const evaluated = await run(['train', 'evaluate', '--run', 'learned'])
  expect(evaluated).toMatchObject({ code: 1, output: expect.stringContaining(learned) })
  expect(evaluated.output).toContain('UNDECIDED')

  await succeed(['rollout', 'start', `${realModel}=50`, `${learned}=50`])
  const shared = await rateUntilBothAnswer(client)
  const shown = JSON.parse((await succeed(['rollout', 'show', '--json'])).output)[0]
  expect(shown.arms.map(({ model, share }: { model: string; share: number }) => [model, share])).toEqual([
    [realModel, 50],
    [learned, 50],
  ])
  for (const { model, rated, wins } of shown.statistics.arms)
    expect({ rated, wins }).toEqual({ rated: shared.get(model), wins: model === learned ? shared.get(model) : 0 })

  await succeed(['rollout', 'promote'])
  expect(await client.model()).toMatchObject({ model_name: learned })
  for (const [asked, right] of facts) expect(await ask(client, asked)).toMatchObject({ text: right, model: learned })
  await succeed(['rollout', 'rollback'])
  expect(await client.model()).toMatchObject({ model_name: realModel })
  expect(await ask(client, question)).toMatchObject({ text: before.text, model: realModel })
  expect(answer).not.toBe(before.text)
  expect(engines(service)).toEqual(engine)
})

/**
 * Asks on until both models have answered, each conversation twice: it stays with its model. What was learned gets thumbs up, the base thumbs
 * down. Gives how many answers of each model were rated.
 */
async function rateUntilBothAnswer(client: Client): Promise<ReadonlyMap<string, number>> {
  const rated = new Map<string, number>()
  for (let turn = 0; turn < 40 && rated.size < 2; turn += 1) {
    const question = `What is ${turn} plus one?`
    const { id, model } = await ask(client, question)
    expect((await ask(client, question)).model).toBe(model)
    await client.sendFeedback({ prediction_id: id, rating: model === learned ? 'up' : 'down' })
    rated.set(model, (rated.get(model) ?? 0) + 1)
  }
  expect([...rated.keys()].sort()).toEqual([realModel, learned])
  return rated
}
