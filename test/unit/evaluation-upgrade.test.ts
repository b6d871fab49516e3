import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import type { PastConversation, Plan } from '../../src/evaluation/evaluation.ts'
import { runUpgrade } from '../../src/evaluation/upgrade.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { admin, cloud, local, run, scriptedWork } from '../evaluation-work.ts'
import { startEvaluationWorld } from '../evaluation-world.ts'
import { databaseAt } from '../postgres/database-at.ts'

type UpgradePlan = Extract<Plan, { kind: 'upgrade' }>

const plan: UpgradePlan = {
  kind: 'upgrade',
  asker: admin,
  userId: '1',
  baseline: local('base'),
  candidate: local('tuned'),
  judge: undefined,
  conversations: 5,
  maxTokens: 32,
}

const past = (predictionId: string, question: string, more: Partial<PastConversation> = {}): PastConversation => ({
  predictionId,
  prompt: { type: 'chat', messages: [{ role: 'user', content: question }] },
  answer: `what was said to ${question}`,
  model: 'base',
  rating: undefined,
  ...more,
})

describe('an upgrade', () => {
  test('scores of a conversation only the answer that was rated', async () => {
    const messages = [
      { role: 'user', content: 'q1' },
      { role: 'assistant', content: 'a1' },
      { role: 'user', content: 'q2' },
    ] as const
    const scored: unknown[] = []
    const work = scriptedWork({
      recent: async () => [past('p', '', { prompt: { type: 'chat', messages }, answer: 'a2', rating: 'up' })],
      nats: (_model, example) => scored.push(example),
    })
    await runUpgrade(work, plan, run)
    expect(scored[0]).toEqual({ type: 'chat', messages: [...messages, { role: 'assistant', content: 'a2' }], learned: [3] })
  })

  test('has both answer what was asked, side by side, and scores what was rated up', async () => {
    const text = { type: 'text', text: 'Once' } as const
    const work = scriptedWork({
      recent: async (userId, count) =>
        userId === '1' && count === 5 ? [past('p1', 'q1', { rating: 'up' }), past('p2', '', { prompt: text })] : [],
      answer: (model, question) => (model === 'tuned' ? `much longer ${question}` : question),
      nats: (model) => (model === 'tuned' ? 5 : 10),
    })
    const report = await runUpgrade(work, plan, run)
    expect(report).toMatchObject({
      kind: 'upgrade',
      dataset: null,
      verdict: null,
      judge: null,
      likelihood: { held_out: null, forgetting: null, rated_up: { texts: 1, change_percent: { value: -50 } } },
      answers: {
        held_out: null,
        general: null,
        conversations: {
          questions: 2,
          baseline: { exact_match: null, mean_characters: 3, tokens_per_second: 10 },
          candidate: { exact_match: null, mean_characters: 15 },
        },
      },
    })
    expect(report.examples).toMatchObject([
      {
        set: 'conversation',
        question: 'q1',
        reference: null,
        baseline: { text: 'q1' },
        candidate: { text: 'much longer q1' },
        nearer: null,
        past: { prediction_id: 'p1', model: 'base', rating: 'up' },
      },
      { question: 'Once', past: { prediction_id: 'p2', rating: null } },
    ])
    expect(work.asked[1]?.prompt).toEqual(text)
  })

  test('without conversations says so, and with a model elsewhere leaves out how likely it finds them', async () => {
    await expect(runUpgrade(scriptedWork(), plan, run)).rejects.toMatchObject({ code: 'conflict' })
    const work = scriptedWork({ recent: async () => [past('p1', 'q', { rating: 'up' })] })
    const { likelihood } = await runUpgrade(work, { ...plan, candidate: cloud('opus') }, run)
    expect(likelihood).toMatchObject({ rated_up: null, unavailable: expect.stringContaining('opus') })
  })

  test('goes on past a conversation that one of them cannot take', async () => {
    const work = scriptedWork({
      recent: async () => [past('p1', 'long'), past('p2', 'short')],
      answer: (model, question) =>
        model === 'tuned' && question === 'long' ? new AppError('context_length_exceeded', 'Too long.') : 'x',
    })
    const { answers, examples } = await runUpgrade(work, plan, run)
    expect(answers.conversations?.candidate.failed).toBe(1)
    expect(examples[0]?.candidate.error).toBe('Too long.')
  })
})

describe('over HTTP', () => {
  const path = '/training/evaluations'
  const upgrade = { kind: 'upgrade', a: 'base', b: 'tuned' }

  async function openTwoAdmins() {
    const world = await startEvaluationWorld()
    const ana = await world.callerOf('ana')
    const { id } = (await ana('GET', '/auth/me')).json
    expect((await world.admin('PATCH', `/admin/users/${id}`, { role: 'admin' })).status).toBe(200)
    const anaAsAdmin = await world.callerOf('ana')
    const say = async (who: typeof ana, ...contents: string[]) => {
      const messages = contents.map((content, at) => ({ role: at % 2 === 0 ? 'user' : 'assistant', content }))
      const { status, text, json } = await who('POST', '/v1/chat/completions', { model: 'base', messages })
      expect(status, text).toBe(200)
      return json
    }
    const evaluate = async (who: typeof ana, body: object) => {
      const { id: made } = (await who('POST', path, body)).json
      await who('GET', `${path}/${made}?stream=true`)
      return (await who('GET', `${path}/${made}`)).json
    }
    return { world, root: world.admin, ana: anaAsAdmin, anaId: id, say, evaluate }
  }

  test('conversations of two users never mix, and nobody else sees the evaluation, not even an admin', async () => {
    const { world, root, ana, anaId, say, evaluate } = await openTwoAdmins()
    await say(root, 'a question of root')
    await say(ana, 'a question of ana')
    await say(ana, 'a question of ana', 'an answer', 'another question of ana')
    await say(ana, 'a riddle of ana')
    const [ofAna, ofRoot] = [await evaluate(ana, { ...upgrade, conversations: 10 }), await evaluate(root, upgrade)]
    const questions = ({ report }: typeof ofAna) => report.examples.map(({ question }: { question: string }) => question)
    // Of a conversation its last turn.
    expect(questions(ofAna)).toEqual(['a riddle of ana', 'another question of ana'])
    expect(questions(ofRoot)).toEqual(['a question of root'])
    expect(questions(await evaluate(ana, { ...upgrade, conversations: 1 }))).toEqual(['a riddle of ana'])
    // What was asked for an evaluation is no conversation.
    expect((await ana('GET', '/predictions')).json.items).toHaveLength(3)
    for (const [method, url] of [
      ['GET', `${path}/${ofAna.id}`],
      ['GET', `${path}/${ofAna.id}?stream=true`],
      ['POST', `${path}/${ofAna.id}/cancel`],
      ['DELETE', `${path}/${ofAna.id}`],
    ] as const)
      expect([url, (await root(method, url)).status]).toEqual([url, 404])
    expect((await root('GET', path)).text).not.toContain(ofAna.id)
    expect((await ana('GET', path)).json.items).toHaveLength(2)
    // It goes with its owner.
    expect((await root('DELETE', `/admin/users/${anaId}`)).status).toBe(204)
    const { db, close } = await openStorage({ url: await databaseAt(join(world.folder, 'simpleia.db')), now: Date.now })
    onTestFinished(close)
    expect(await db.selectFrom('evaluations').select('id').execute()).toEqual([{ id: ofRoot.id }])
  })

  test('the answers that were rated up are scored', async () => {
    const { root, say, evaluate } = await openTwoAdmins()
    const { id } = await say(root, 'q')
    await say(root, 'r')
    const rating = { prediction_id: id, rating: 'up' }
    expect((await root('POST', '/feedback', rating)).status).toBe(201)
    const { report, state, error } = await evaluate(root, upgrade)
    expect([state, error]).toEqual(['completed', null])
    expect(report.likelihood.rated_up).toMatchObject({ texts: 1, change_percent: { value: expect.closeTo(1, 6) } })
    expect(report.examples.map(({ past: { rating: given } }: { past: { rating: string } }) => given)).toEqual([null, 'up'])
  })
})
