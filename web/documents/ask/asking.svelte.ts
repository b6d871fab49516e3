import { AppError } from '../../../src/errors.ts'
import type { QueryBody, QueryEnd, SourceBody } from '../../../src/rag/query-schema.ts'
import { service } from '../../shell/service.ts'

export const modes = ['hybrid', 'vector', 'words'] as const
export type Mode = (typeof modes)[number]

/** How an answer came about, with what the page measured itself. */
export type Outcome = QueryEnd & Readonly<{ sourcesMs: number; wholeMs: number }>

/**
 * What is asked of one collection, and what came of it. It is there again when the person comes back from a document that a citation
 * led to, and goes on being written meanwhile.
 */
export class Asking {
  readonly collection: string
  question = $state('')
  mode = $state<Mode>('hybrid')
  k = $state(5)
  /** What is shown: an answer, or what a search has found. */
  kind = $state<'answer' | 'search'>()
  /** The question that it belongs to. */
  asked = $state('')
  isBusy = $state(false)
  text = $state('')
  sources = $state.raw<readonly SourceBody[]>()
  end = $state.raw<Outcome>()
  error = $state.raw<unknown>()
  isStopped = $state(false)
  #stop = new AbortController()

  constructor(collection: string) {
    this.collection = collection
  }

  /** The service shows how it found what it found, as that costs it nothing. */
  #begin(kind: 'answer' | 'search'): QueryBody {
    this.#stop.abort()
    this.#stop = new AbortController()
    this.kind = kind
    this.asked = this.question.trim()
    this.isBusy = true
    this.text = ''
    this.sources = undefined
    this.end = undefined
    this.error = undefined
    this.isStopped = false
    // The field may be empty.
    this.k = Math.min(50, Math.max(1, Math.round(this.k || 5)))
    return { question: this.asked, collection: this.collection, mode: this.mode, k: this.k, debug: true }
  }

  async ask(): Promise<void> {
    const body = this.#begin('answer')
    await this.#run(async (signal) => {
      const start = performance.now()
      let sourcesMs = 0
      for await (const event of service.askDocumentsStream(body, signal)) {
        if (signal.aborted) return
        if (event.type === 'text') this.text += event.text
        else if (event.type === 'sources') {
          sourcesMs = performance.now() - start
          this.sources = event.sources
        } else this.end = { ...event, sourcesMs, wholeMs: performance.now() - start }
      }
    })
  }

  async search(): Promise<void> {
    const body = this.#begin('search')
    await this.#run(async (signal) => {
      const start = performance.now()
      const { sources, answer: _none, ...end } = await service.askDocuments({ ...body, answer: false }, signal)
      const tookMs = performance.now() - start
      this.sources = sources
      this.end = { ...end, sourcesMs: tookMs, wholeMs: tookMs }
    })
  }

  async #run(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#stop
    try {
      await work(signal)
    } catch (error) {
      // Of an earlier question, or one that the person stopped.
      if (signal.aborted) return
      this.error = error instanceof AppError ? error : new AppError('internal', '', { cause: error })
    } finally {
      if (!signal.aborted) this.isBusy = false
    }
  }

  stop(): void {
    this.#stop.abort()
    this.isBusy = false
    this.isStopped = true
  }
}

const askings = new Map<string, Asking>()

export function askingOf(collectionId: string): Asking {
  const known = askings.get(collectionId) ?? new Asking(collectionId)
  askings.set(collectionId, known)
  return known
}
