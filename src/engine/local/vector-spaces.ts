import { AppError } from '../../errors.ts'
import type { FromVectorWorker, ToVectorWorker, VectorAnswer, VectorRequest } from './vector-protocol.ts'
import { createSpaceVectors, type SpaceVectors } from './vector-space.ts'

/** How long graphs are worked on before requests get a turn: they wait no longer than that. */
const turnMs = 4

export type VectorSpacesParts = Readonly<{
  send(message: FromVectorWorker): void
  /** Lets messages come in. */
  pause(): Promise<void>
  /** Milliseconds of a clock. */
  now(): number
}>

/**
 * Answers the requests of the main process, one after the other, and works on the graphs in between. What is asked of a space that
 * was dropped changes nothing.
 */
export function createVectorSpaces({ send, pause, now }: VectorSpacesParts) {
  const spaces = new Map<number, SpaceVectors>()
  let isImproving = false

  async function improve(): Promise<void> {
    if (isImproving) return
    isImproving = true
    let hasMore = true
    while (hasMore) {
      await pause()
      const deadline = now() + turnMs
      hasMore = [...spaces.values()].map((space) => space.improve(() => now() >= deadline)).includes(true)
    }
    isImproving = false
  }

  function answer(space: number, request: VectorRequest): VectorAnswer {
    if (request.type === 'space-open') spaces.set(space, createSpaceVectors(request))
    const vectors = spaces.get(space)
    switch (request.type) {
      case 'vectors-add':
        vectors?.add(request)
        break
      case 'vectors-remove':
        vectors?.remove(request.ids)
        break
      case 'space-loaded':
        vectors?.endLoad()
        break
      case 'space-drop':
        spaces.delete(space)
        break
      case 'vectors-search': {
        const hits = vectors?.search(request) ?? []
        return {
          type: 'vectors-found',
          ids: Float64Array.from(hits, ({ id }) => id),
          scores: Float64Array.from(hits, ({ score }) => score),
        }
      }
      case 'space-describe':
        if (vectors !== undefined) return { type: 'space-described', statistics: vectors.statistics() }
        break
      case 'space-open':
        break
    }
    return { type: 'done' }
  }

  return {
    receive({ id, space, request }: ToVectorWorker): void {
      try {
        send({ id, answer: answer(space, request) })
      } catch (error) {
        const { code, message } = error instanceof AppError ? error : new AppError('internal', String(error))
        send({ id, answer: { type: 'failed', code, message } })
      }
      void improve()
    },
  }
}
