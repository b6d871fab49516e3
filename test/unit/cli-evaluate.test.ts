import { expect, test } from 'vitest'
import { scriptedScoring, startEvaluationWorld } from '../evaluation-world.ts'
import { createCli } from './cli-world.ts'

const password = 'root-has-a-long-password'

/** A command line whose person is the admin of a service with three models. */
async function createEvaluatingCli(variables: Record<string, string> = {}, scoring = scriptedScoring()) {
  const world = await startEvaluationWorld({ runScoring: scoring })
  const cli = await createCli({ PORT: String(world.port), ...variables })
  await cli.run('login root', `${password}\n`)
  return { ...world, run: (line: string) => cli.run(line) }
}

test('a candidate is evaluated with its progress, a table, and the verdict as the exit code', async () => {
  const { run } = await createEvaluatingCli()
  const { code, output, notes } = await run('train evaluate tuned --judge other')
  expect(notes).toMatch(/Evaluation [\w-]+: tuned beside base\n/)
  expect(notes).toMatch(/Scoring texts with the first model: \d+ of 50/)
  expect(output).toMatch(/^ +base +tuned +difference\n/)
  expect(output).toMatch(/loss on general texts +1\.0000 +1\.0100 +\+1\.0 % \(\+1\.0 % … \+1\.0 %\)\n/)
  expect(output).toMatch(/general questions: exact +0\.0 % \(0\.0–13\.3\) +0\.0 % \(0\.0–13\.3\) +by chance: 100\.0 %\n/)
  // It says what it was asked, which is no verdict.
  expect(output).toMatch(/The judge other: 0 wins, 0 ties, 0 losses of tuned; win rate –\.\n.*25 verdicts could not be read/)
  expect(output).toMatch(/No dataset was named.*\n\? held-out loss: not measured \(at most 0\.0 %; below zero is better\)\n/)
  expect(output).toMatch(/✓ loss on general texts: \+1\.0 % \(at most \+3\.0 %; below zero is better\)\n/)
  expect(output).toMatch(/✓ exact answers: 0\.0 points \(at least 0\.0 points\)\nPASSES\n$/)
  expect(code).toBe(0)
})

test('a candidate that has forgotten does not pass', async () => {
  const scoring: ReturnType<typeof scriptedScoring> = Object.assign(
    async function* (...[job, signal]: Parameters<ReturnType<typeof scriptedScoring>>) {
      for await (const event of scriptedScoring()(job, signal)) {
        if (event.type !== 'example-scored' || event.score.type !== 'text' || !job.modelPath.includes('tuned')) yield event
        else yield { ...event, score: { ...event.score, logprob: 2 * event.score.logprob } }
      }
    },
    { jobs: [] },
  )
  const { run } = await createEvaluatingCli({ LANG: 'es_ES.UTF-8' }, scoring)
  const { code, output, notes } = await run('train evaluate tuned')
  expect(code).toBe(1)
  expect(notes).toMatch(/Puntuando textos con el primer modelo/)
  expect(output).toMatch(
    /✗ pérdida en textos generales: \+102,0 % \(como máximo \+3,0 %; bajo cero es mejor\)\n[^\n]*\nNO PASA\n$/,
  )
})

test('two models are compared over the conversations of the person', async () => {
  const { run, admin } = await createEvaluatingCli()
  const none = await run('models compare base tuned')
  expect(none).toMatchObject({ code: 1, notes: expect.stringMatching(/is failed\. No conversations of yours are remembered/) })
  for (const content of ['hello', 'a\u001b[31m question'])
    await admin('POST', '/v1/chat/completions', { model: 'base', messages: [{ role: 'user', content }] })
  const { code, output } = await run('models compare base tuned --conversations 5')
  expect(code).toBe(0)
  expect(output).toMatch(/characters of an answer +\d+ +\d+\n/)
  expect(output).toMatch(
    /Where they differ:\n\n {2}a\[31m question\n {6}base: base: a\[31m question\n {6}tuned: tuned: a\[31m question\n\n {2}hello\n/,
  )
  expect(output).not.toContain('PASS')
  expect((await run('models compare base tuned --conversations none')).notes).toMatch(/whole number from 1 to 200, but is "none"/)
})

test('evaluations are listed, and shown again as they were', async () => {
  const { run } = await createEvaluatingCli()
  expect(await run('train evaluations')).toMatchObject({ code: 0, notes: 'There are no evaluations yet.\n' })
  const first = await run('train evaluate other')
  const { output } = await run('train evaluations')
  expect(output).toMatch(/^[\d-]{10} [\d:]{5} {2}[\w-]{36} {2}gate {2}other \/ base {2}completed {2}PASSES\n$/)
  const id = /[\w-]{36}/.exec(output)?.[0] ?? ''
  expect((await run(`train evaluations ${id}`)).output).toBe(first.output)
  expect(JSON.parse((await run(`train evaluations ${id} --json`)).output)).toMatchObject({ id, report: { kind: 'gate' } })
  expect(JSON.parse((await run('train evaluations --json')).output)).toMatchObject([{ id }])
})

test('what is missing or not there is said', async () => {
  const { run } = await createEvaluatingCli()
  expect((await run('train evaluate')).notes).toMatch(/base\+adapter.*training run/)
  expect(await run('train evaluate nowhere')).toMatchObject({ code: 1, notes: expect.stringContaining('nowhere') })
  expect(await run('train evaluations nowhere')).toMatchObject({ code: 1, notes: expect.stringContaining('no evaluation') })
})
