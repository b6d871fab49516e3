import { equal, ok } from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { type RunParts, startRun } from '../../src/conversations/answer-run.ts'
import { createConversations } from '../../src/conversations/conversations.ts'
import { createMessages } from '../../src/conversations/messages.ts'
import type { AnswerEvent } from '../../src/conversations/write-answer.ts'
import { AppError } from '../../src/errors.ts'
import { killedOwner } from './batches.ts'
import type { RowsParts } from './rows-parts.ts'
import type { SavePath } from './save-paths.ts'

const owner = { column: 'ownerId', value: killedOwner } as const
const pieces = ['It ', 'is ', 'said ', 'piece ', 'by ', 'piece.']
const whole = pieces.join('')

/** Questions with their answers, saved again and again while they are written. */
export async function openConversationPaths({ db, instances, now }: RowsParts): Promise<readonly SavePath[]> {
  const conversations = createConversations({ db, now })
  const messages = createMessages({ db, instanceId: instances.id, now })
  await instances.recover(() => messages.interruptOrphans())
  const answerIdOf = (name: string) => `answer-${name}`
  let conversationId: string | undefined

  return [
    {
      name: 'conversation',
      async check({ saved }) {
        const rows = await db.selectFrom('messages').selectAll().execute()
        const questions = new Map(rows.flatMap((row) => (row.role === 'user' ? [[row.id, row]] : [])))
        const answers = rows.filter(({ role }) => role === 'assistant')
        equal(answers.length, questions.size, 'a question without the place for its answer')
        for (const { id, parentId, state, content } of answers) {
          ok(questions.has(parentId ?? ''), `${id} answers nothing`)
          ok(state === 'done' ? content === whole : state === 'interrupted' && whole.startsWith(content), `${id} is ${state}`)
        }
        const done = new Set(answers.flatMap(({ id, state }) => (state === 'done' ? [id] : [])))
        for (const name of saved) ok(done.has(answerIdOf(name)), `the answer ${name} is gone`)
        for (const { leafId } of await db.selectFrom('conversations').select('leafId').execute())
          ok(leafId === null || rows.some(({ id }) => id === leafId), 'a conversation that ends with nothing')
      },
      async save(name) {
        conversationId ??= (await conversations.create(owner, {})).id
        const given = { parent_id: null, content: `Question ${name}?` }
        const { answer } = await messages.begin(owner, conversationId, given, answerIdOf(name))
        const run = startRun(runOf({ message: answer, save: messages.save }))
        await run.ended
        await run.saved
      },
    },
  ]
}

const runOf = (parts: Pick<RunParts, 'message' | 'save'>): RunParts => ({
  ...parts,
  write: answerInPieces,
  waitingFor: async () => 'queue',
  isEnding: () => false,
  toAppError: (cause) => new AppError('internal', 'It could not be written.', { cause }),
  saveEveryMs: 1,
})

async function* answerInPieces(): AsyncGenerator<AnswerEvent> {
  const target = { provider: 'hf', model: 'model', ranOn: 'local', why: 'default', passedBy: [] } as const
  yield { type: 'begun', predictionId: 'none', target }
  for (const text of pieces) {
    await wait(1)
    yield { type: 'text', text }
  }
  yield { type: 'end', reason: 'stop', predictionId: undefined, target, usage: undefined, timings: undefined }
}
