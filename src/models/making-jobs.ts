import { AppError } from '../errors.ts'
import { completed, endOfFailure, type NewJob, type SharedJobs } from './shared-jobs.ts'

/** How far the making of a model is: `total` is how many there are of what the stage does. */
export type MakingProgress = Readonly<{ stage: MakingStage; done: number; total: number }>
export const makingStages = ['calibrate', 'merge', 'tensor', 'measure'] as const
export type MakingStage = (typeof makingStages)[number]

/** What an event of the work tells: how far it is, or the name of what it has made. */
export type Told = MakingProgress | string

export type MakingWork<T> = Readonly<{
  job: NewJob
  work: (signal: AbortSignal) => AsyncGenerator<T>
  told: (event: T) => Told
}>

/** The same work, which others can look at and end. */
export type ShareMaking = <T>(making: MakingWork<T>) => (signal: AbortSignal) => AsyncGenerator<T>

export const shareMaking = (jobs: Pick<SharedJobs, 'begin'>): ShareMaking =>
  function share({ job, work, told }) {
    return async function* (given) {
      const stopping = new AbortController()
      const own = jobs.begin(job, () => stopping.abort())
      let end = endOfFailure(new AppError('aborted', 'Whoever asked for it has left.'))
      try {
        await own.noted
        for await (const event of work(AbortSignal.any([given, stopping.signal]))) {
          const news = told(event)
          if (typeof news === 'string') end = completed(news)
          else own.tell(news)
          yield event
        }
      } catch (error) {
        end = endOfFailure(error)
        throw error
      } finally {
        await own.end(end)
      }
    }
  }
