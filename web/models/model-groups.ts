import type { ModelMemory, ServedModel } from '../../src/client.ts'

/** An adapter on a base: `file` is the adapter's own entry, `variant` what answers as `base+adapter`. */
export type Adapted = Readonly<{ adapter: string; variant: ServedModel; file: ServedModel | undefined }>
export type ChatGroup = Readonly<{ model: ServedModel; adapters: readonly Adapted[] }>
export type ModelGroups = Readonly<{
  chat: readonly ChatGroup[]
  /** Embedding models and rerankers. */
  search: readonly ServedModel[]
  /** Adapters that fit no base, parts of other models, and what cannot be read. */
  others: readonly ServedModel[]
}>

/** The list of installed models as people see it: adapters stand with each base that they fit. */
export function groupModels(models: readonly ServedModel[]): ModelGroups {
  const adapters = new Map(models.flatMap((model) => (model.kind === 'adapter' ? [[model.name, model] as const] : [])))
  const names = new Set(models.map(({ name }) => name))
  const pairOf = (name: string) => [...adapters.keys()].find((adapter) => names.has(baseOf(name, adapter) ?? ''))
  const chat = models.filter(({ kind }) => kind === 'chat')
  const variants = chat.flatMap((variant) => {
    const adapter = pairOf(variant.name)
    return adapter === undefined ? [] : [{ adapter, variant, file: adapters.get(adapter) }]
  })
  const isVariant = (model: ServedModel) => variants.some(({ variant }) => variant === model)
  const groups = chat
    .filter((model) => !isVariant(model))
    .map((model) => ({
      model,
      adapters: variants.filter(({ adapter, variant }) => baseOf(variant.name, adapter) === model.name),
    }))
  const used = new Set(variants.map(({ adapter }) => adapter))
  return {
    chat: groups,
    search: models.filter(({ kind }) => kind === 'embedding' || kind === 'reranker'),
    others: models.filter(({ kind, name }) => ['projector', 'unknown'].includes(kind) || (kind === 'adapter' && !used.has(name))),
  }
}

/** The base in `base+adapter`; undefined where the name is none with this adapter. */
function baseOf(name: string, adapter: string): string | undefined {
  return name.endsWith(`+${adapter}`) ? name.slice(0, -adapter.length - 1) : undefined
}

export type MemorySegment = Readonly<{ name: string; bytes: number; share: number }>
export type MemoryUse = Readonly<{
  segments: readonly MemorySegment[]
  usedBytes: number
  freeBytes: number
  budgetBytes: number
}>

/** What the models in memory take of what they may; an adapter takes none beside its base. Undefined where nothing limits them. */
export function memoryUse(models: readonly ServedModel[], memory: ModelMemory | undefined): MemoryUse | undefined {
  const budgetBytes = memory?.budget_bytes ?? 0
  if (memory === undefined || budgetBytes === 0) return undefined
  const whole = Math.max(budgetBytes, memory.used_bytes)
  const { chat } = groupModels(models)
  const segments = chat
    .filter(({ model }) => model.memory_bytes > 0)
    .map(({ model: { name, memory_bytes: bytes } }) => ({ name, bytes, share: bytes / whole }))
    .toSorted((one, other) => other.bytes - one.bytes)
  return { segments, usedBytes: memory.used_bytes, freeBytes: Math.max(0, budgetBytes - memory.used_bytes), budgetBytes }
}

/** Whether something goes on that is worth looking at often. */
export const isMoving = (models: readonly ServedModel[]): boolean =>
  models.some(({ state, active, queued }) => state === 'loading' || active > 0 || queued > 0)
