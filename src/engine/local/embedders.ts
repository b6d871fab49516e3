import { AppError } from '../../errors.ts'
import type { Embedders, Rerankers } from '../embedder.ts'
import type { EmbedChild } from './embed-process.ts'
import type { EmbedModel } from './embed-protocol.ts'
import { createServedEmbedModel, type ServedEmbedModel, toEmbedder, toReranker } from './served-embed-model.ts'

/** An embedding model or a reranker that is installed. */
export type InstalledEmbedModel = Readonly<{ name: string; kind: EmbedModel['kind'] }>

export type EmbeddersParts = Readonly<{
  /** The name of the embedding model that serves who names none. */
  usual: string
  /** By any name of the model. */
  find(name: string): Promise<InstalledEmbedModel | undefined>
  /** In alphabetical order. */
  list(): Promise<readonly InstalledEmbedModel[]>
  /** What a process needs to load the model, by its own name. Throws `unavailable` with how to get it. */
  describe(name: string): Promise<EmbedModel>
  spawn: () => EmbedChild
  /** Requests of one model at once; more are refused. */
  maxWaiting: number
  /** How long a process without requests stays. */
  keepAliveMs: number
  /** Processes at once. */
  mostProcesses: number
}>

/**
 * The embedding models and rerankers of this machine. A model has a process while it is used, and for `keepAliveMs` after that; where
 * there are as many as may be, the one that was unused for longest ends for the next.
 */
export function createEmbedders(parts: EmbeddersParts): Readonly<{ embedders: Embedders; rerankers: Rerankers }> {
  const known = new Map<string, InstalledEmbedModel>([[parts.usual, { name: parts.usual, kind: 'embedding' }]])
  /** By the model's own name. */
  const served = new Map<string, ServedEmbedModel>()
  let lastStart: Promise<void> = Promise.resolve()

  function serve(name: string): ServedEmbedModel {
    const one = served.get(name)
    if (one !== undefined) return one
    const { spawn, maxWaiting, keepAliveMs } = parts
    const model = createServedEmbedModel({
      spawn,
      maxWaiting,
      keepAliveMs,
      findModel: () => parts.describe(name),
      makeRoom: () => makeRoom(name),
    })
    served.set(name, model)
    return model
  }

  /** One after the other, so that two that start together do not end the same one. */
  function makeRoom(name: string): Promise<void> {
    const turn = lastStart.then(() => endLongestUnused(name))
    lastStart = turn.catch(() => {})
    return turn
  }

  async function endLongestUnused(name: string): Promise<void> {
    const others = [...served].filter(([other, model]) => other !== name && model.state() !== 'none')
    if (others.length < parts.mostProcesses) return
    const idle = others.filter(([, model]) => model.state() === 'idle')
    const [longest] = idle.sort(([, one], [, other]) => one.lastUse() - other.lastUse())
    if (longest !== undefined) return longest[1].rest()
    const what = `${parts.mostProcesses} embedding models and rerankers are busy, and there is no room for another.`
    throw new AppError('busy', `${what} Try again shortly.`, { retryAfterSeconds: 2 })
  }

  async function nameOf(kind: EmbedModel['kind'], given: string): Promise<string | undefined> {
    // A model in memory is not looked up again, so that a request costs no look at the disk.
    const isOpen = (served.get(given)?.state() ?? 'none') !== 'none'
    const found = isOpen ? known.get(given) : await parts.find(given)
    if (found === undefined) return undefined
    known.set(found.name, found)
    return found.kind === kind ? found.name : undefined
  }
  async function namesOf(kind: EmbedModel['kind']): Promise<readonly string[]> {
    return (await parts.list()).filter((one) => one.kind === kind).map(({ name }) => name)
  }

  async function close(): Promise<void> {
    await Promise.all([...served.values()].map((model) => model.close()))
  }

  return {
    embedders: {
      usual: toEmbedder(parts.usual, serve(parts.usual)),
      async find(given) {
        const name = await nameOf('embedding', given)
        return name === undefined ? undefined : toEmbedder(name, serve(name))
      },
      list: () => namesOf('embedding'),
      close,
    },
    rerankers: {
      async find(given) {
        const name = given === undefined ? (await namesOf('reranker'))[0] : await nameOf('reranker', given)
        return name === undefined ? undefined : toReranker(name, serve(name))
      },
      list: () => namesOf('reranker'),
      close,
    },
  }
}
