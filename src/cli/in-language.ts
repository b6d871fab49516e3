import { AppError } from '../errors.ts'
import { type Context, describeFailure } from './context.ts'

/** Does what needs no service. What is refused on the way comes as an error in the person's language. */
export async function inLanguage<T>({ language, say }: Pick<Context, 'language' | 'say'>, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    throw new AppError(error.code, describeFailure(error, language, say), { cause: error })
  }
}
