import type { Embedders, Rerankers } from './engine/embedder.ts'
import type { ModelHost } from './engine/provider.ts'
import { traceHost } from './observe/observe-provider.ts'
import { type Observers, observeEmbedders, observeRerankers } from './observe/observe-texts.ts'

type Work = Readonly<{ host: ModelHost; embedders: Embedders; rerankers: Rerankers }>

/** The same models of this machine, whose work is counted and followed. A part of the composition root. */
export function observeWork({ host, embedders, rerankers }: Work, observers: Observers): Work {
  return {
    host: traceHost(host, observers.tracing),
    embedders: observeEmbedders(embedders, observers),
    rerankers: observeRerankers(rerankers, observers),
  }
}
