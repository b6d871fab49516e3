import { AppError } from '../errors.ts'
import type { Span, SpanOptions, Tracing } from './tracing.ts'

/** The code of what was thrown; of what nobody foresaw nothing else is told. */
export const codeOf = (error: unknown): AppError['code'] => (error instanceof AppError ? error.code : 'internal')

/** Does work in a span of its own, which ends with it. Throws what the work throws. */
export async function traced<T>(
  tracing: Tracing,
  name: string,
  options: SpanOptions,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const span = tracing.start(name, options)
  try {
    return await span.within(() => work(span))
  } catch (error) {
    span.fail(codeOf(error))
    throw error
  } finally {
    span.end()
  }
}

/** The same events, made in a span that ends with them; `saw` is told of each. Leaving the loop early ends both. */
export async function* tracedEvents<T>(span: Span, make: () => AsyncIterable<T>, saw: (event: T) => void): AsyncGenerator<T> {
  const iterator = span.within(() => make()[Symbol.asyncIterator]())
  let isOver = false
  try {
    for (;;) {
      // A generator works while it is asked for the next event, and so within whatever asks.
      const next = await span.within(() => iterator.next())
      isOver = next.done === true
      if (next.done === true) return
      saw(next.value)
      yield next.value
    }
  } catch (error) {
    isOver = true
    span.fail(codeOf(error))
    throw error
  } finally {
    if (!isOver) {
      span.fail('aborted')
      await span.within(() => iterator.return?.())
    }
    span.end()
  }
}
