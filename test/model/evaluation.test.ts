import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { writeAdapter } from '../lora-file.ts'
import { openRealHost, realModel } from '../real-host.ts'
import { startServer } from '../server.ts'

test('an adapter of noise on the real model is told to have forgotten much, the same each time', async () => {
  const { host, modelsDir, remove } = await openRealHost()
  onTestFinished(remove)
  await writeAdapter(join(modelsDir, 'noise.gguf'), 1)
  const server = await startServer({ host, settings: { MODELS_DIR: modelsDir, THREADS: '2' } })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const headers = { authorization: `Bearer ${await server.login('root')}`, 'content-type': 'application/json' }
  const evaluate = async (body: object) => {
    const created = await fetch(`${server.url}/training/evaluations`, { method: 'POST', headers, body: JSON.stringify(body) })
    const { id } = JSON.parse(await created.text())
    await (await fetch(`${server.url}/training/evaluations/${id}?stream=true`, { headers })).text()
    const { state, error, passed, report } = JSON.parse(
      await (await fetch(`${server.url}/training/evaluations/${id}`, { headers })).text(),
    )
    expect([state, error]).toEqual(['completed', null])
    return { passed, report }
  }
  const body = { kind: 'gate', candidate: `${realModel}+noise`, judge: realModel, max_tokens: 6 }
  const { passed, report } = await evaluate(body)
  expect(passed).toBe(false)
  expect(report).toMatchObject({ baseline: { model: realModel }, candidate: { model: `${realModel}+noise` } })
  const { forgetting } = report.likelihood
  expect(forgetting).toMatchObject({ texts: 50, left_out: 0 })
  expect(forgetting.baseline.tokens).toBe(forgetting.candidate.tokens)
  // A small base model finds everyday sentences likely.
  expect(forgetting.baseline.loss).toBeLessThan(4)
  expect(forgetting.change_percent.low).toBeGreaterThan(3)
  expect(report.judge.broken).toBe(0)
  const withoutSpeed = (value: unknown) =>
    JSON.parse(JSON.stringify(value, (key, inner) => (key === 'tokens_per_second' ? null : inner)))
  expect(withoutSpeed((await evaluate(body)).report)).toEqual(withoutSpeed(report))
})
