import type { Context } from './context.ts'
import type { SayOfDocsEval } from './docs-eval-messages.ts'

export async function makeQuestionSet(_context: Context, _say: SayOfDocsEval): Promise<number> {
  return 1
}
