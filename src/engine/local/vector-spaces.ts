import { AppError } from '../../errors.ts'
import type { FromVectorWorker, ToVectorWorker, VectorAnswer, VectorRequest } from './vector-protocol.ts'
import { createSpaceVectors, type SpaceVectors } from './vector-space.ts'

/** Answers the requests of the main process, one after the other. What is asked of a space that was dropped changes nothing. */
export function createVectorSpaces(send: (message: FromVectorWorker) => void) {
  const spaces = new Map<number, SpaceVectors>()

  function answer(space: number, request: VectorRequest): VectorAnswer {
    if (request.type === 'space-open') spaces.set(space, createSpaceVectors(request.dimensions))
    const vectors = spaces.get(space)
    switch (request.type) {
      case 'vectors-add':
        vectors?.add(request)
        break
      case 'vectors-remove':
        vectors?.remove(request.ids)
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
      case 'space-loaded':
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
    },
  }
}
