import type { InstalledModel } from '../engine/local/local-provider.ts'
import type { ListedModel, ModelHeader, ModelKind } from '../engine/provider.ts'
import { refuseMisfit } from '../engine/train/adapter-pairs.ts'
import { AppError } from '../errors.ts'
import type { ModelFacts } from './model-kind.ts'
import type { ModelRegistry } from './registry.ts'

export interface Catalog {
  /** All models, in alphabetical order: chat models with each adapter that fits them, and those of other kinds. */
  list(): Promise<readonly ListedModel[]>
  /**
   * Finds a chat model by its name, an alias, or as `base+adapter`.
   * Throws `not_found`, `invalid` for a name that is none, for a file that answers no prompts, and for an adapter that does not fit its base.
   */
  find(name: string): Promise<InstalledModel>
  /** What the header of an installed file says. Throws `invalid` when it is no whole model. */
  factsOf(file: Pick<InstalledModel, 'path' | 'identity'>): Promise<ModelFacts>
}

export type CatalogParts = Readonly<{
  registry: ModelRegistry
  readFacts: (path: string) => Promise<ModelFacts>
  /** Other names for models. */
  aliases: ReadonlyMap<string, string>
  /** Bytes of memory that a model takes once it is loaded and busy. */
  estimateBytes: (facts: ModelFacts) => number
}>

/** The installed files as models: what they are, and which of them can answer. */
export function createCatalog({ registry, readFacts, aliases, estimateBytes }: CatalogParts): Catalog {
  /** By path; read again when the file has changed. */
  const known = new Map<string, Readonly<{ identity: string; facts: Promise<ModelFacts> }>>()

  function factsOf({ path, identity }: Pick<InstalledModel, 'path' | 'identity'>): Promise<ModelFacts> {
    const one = known.get(path)
    if (one?.identity === identity) return one.facts
    const facts = readFacts(path)
    known.set(path, { identity, facts })
    // A file that is still being copied, or that nobody may read yet, may be whole the next time.
    facts.catch(() => {
      if (known.get(path)?.facts === facts) known.delete(path)
    })
    return facts
  }

  async function find(name: string): Promise<InstalledModel> {
    const target = aliases.get(name) ?? name
    try {
      return await findChat(target)
    } catch (error) {
      const plus = target.lastIndexOf('+')
      // A file may have a plus in its name too.
      if (!(error instanceof AppError) || error.code !== 'not_found' || plus < 1) throw error
      return findAdapted(target.slice(0, plus), target.slice(plus + 1))
    }
  }

  async function findChat(name: string): Promise<InstalledModel> {
    const { identity, path, name: found } = await registry.find(name)
    const { kind } = await factsOf({ path, identity })
    if (kind === 'chat' || kind === 'unknown') return { name: found, path, identity }
    throw new AppError('invalid', `The model "${found}" answers no prompts: it is ${describeKind[kind]}.`)
  }

  async function findAdapted(baseName: string, adapterName: string): Promise<InstalledModel> {
    const [base, adapter] = await Promise.all([findChat(aliases.get(baseName) ?? baseName), registry.find(adapterName)])
    const [baseFacts, facts] = await Promise.all([factsOf(base), factsOf(adapter)])
    if (facts.kind !== 'adapter')
      throw new AppError('invalid', `"${adapter.name}" is no adapter, but ${describeKind[facts.kind]}.`)
    if (facts.architecture !== baseFacts.architecture) {
      const made = `The adapter "${adapter.name}" is made for ${facts.architecture}`
      throw new AppError('invalid', `${made}, but "${base.name}" is ${baseFacts.architecture}.`)
    }
    const problem = misfitOf(facts, baseFacts)
    if (problem === undefined) return { ...base, adapter }
    throw new AppError('invalid', `The adapter "${adapter.name}" cannot be used with "${base.name}". ${problem}`)
  }

  const aliasesOf = (name: string) => [...aliases].flatMap(([alias, target]) => (target === name ? [alias] : []))

  async function describe(name: string): Promise<Described> {
    const described = { name, base: name, aliases: aliasesOf(name) }
    try {
      const facts = await factsOf(await registry.find(name))
      return { facts, listed: { ...described, kind: facts.kind, header: toHeader(facts), problem: undefined } }
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      return { facts: undefined, listed: { ...described, kind: 'unknown', header: undefined, problem: error.message } }
    }
  }

  function toHeader(facts: ModelFacts): ModelHeader {
    const { architecture, quantization, parameters, fileBytes, contextLength } = facts
    const estimatedBytes = facts.kind === 'chat' ? estimateBytes(facts) : 0
    return { architecture, quantization, parameters, sizeBytes: fileBytes, trainedContext: contextLength, estimatedBytes }
  }

  return {
    find,
    factsOf,
    async list() {
      const entries = await Promise.all((await registry.list()).map(describe))
      const adapters = entries.filter(({ listed }) => listed.kind === 'adapter')
      return entries.flatMap(({ listed, facts }) => {
        if (listed.kind !== 'chat' || facts === undefined) return [listed]
        const fitting = adapters.filter((adapter) => adapter.facts !== undefined && fits(adapter.facts, facts))
        const names = fitting.map((adapter) => `${listed.name}+${adapter.listed.name}`)
        return [listed, ...names.map((name) => ({ ...listed, name, aliases: aliasesOf(name) }))]
      })
    },
  }
}

type Described = Readonly<{ listed: ListedModel; facts: ModelFacts | undefined }>

const fits = (adapter: ModelFacts, base: ModelFacts) =>
  adapter.architecture === base.architecture && misfitOf(adapter, base) === undefined

/** Why the factors of an adapter do not make the matrices of a base of its architecture; undefined when they do. */
function misfitOf(adapter: ModelFacts, base: ModelFacts): string | undefined {
  try {
    refuseMisfit(adapter.tensors, base.tensors)
    return undefined
  } catch (error) {
    if (error instanceof AppError) return error.message
    throw error
  }
}

const describeKind = {
  chat: 'a chat model',
  embedding: 'an embedding model (it turns texts into vectors)',
  reranker: 'a reranker (it scores texts against a question)',
  adapter: 'an adapter, and needs a base: ask for BASE+ADAPTER',
  projector: 'a part of another model (it reads images for it)',
  unknown: 'a file of an unknown kind',
} as const satisfies Record<ModelKind, string>
