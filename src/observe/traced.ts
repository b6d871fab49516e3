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

type Events<T> = Readonly<{
  make: () => AsyncIterable<T>
  /** Told of each event. */
  saw: (event: T) => void
  /** The type of the event after which leaving is no giving up. */
  last: string
}>

/** The same events, made in a span that ends with them. Leaving the loop early ends both. */
export async function* tracedEvents<T extends Readonly<{ type: string }>>(
  span: Span,
  { make, saw, last }: Events<T>,
): AsyncGenerator<T> {
  const iterator = span.within(() => make()[Symbol.asyncIterator]())
  let isOver = false
  let isWhole = false
  try {
    for (;;) {
      // A generator works while it is asked for the next event, and so within whatever asks.
      const next = await span.within(() => iterator.next())
      isOver = next.done === true
      if (next.done === true) return
      isWhole ||= next.value.type === last
      saw(next.value)
      yield next.value
    }
  } catch (error) {
    isOver = true
    isWhole = true
    span.fail(codeOf(error))
    throw error
  } finally {
    if (!isOver) await span.within(() => iterator.return?.())
    if (!isOver && !isWhole) span.fail('aborted')
    span.end()
  }
}
