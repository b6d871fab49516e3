import { AppError } from '../../errors.ts'
import { grammarOf } from '../answer-format.ts'
import type {
  ChosenModel,
  EngineStatus,
  GenerateEvent,
  GenerateRequest,
  HostedModel,
  ListedModel,
  ModelHost,
  ModelInfo,
} from '../provider.ts'
import { type AnswerParts, answerRequest, renderPrompt } from './answer-request.ts'
import { checkLogitBias, refuseImages } from './check-request.ts'
import { createModelPool, type ModelPoolParts } from './model-pool.ts'
import type { AdapterFile } from './protocol.ts'
import type { ModelFile } from './served-model.ts'
import { unlessAborted } from './unless-aborted.ts'

/** What the models of this machine are called among the providers. */
export const localProvider = 'hf'

/** What a name stands for: a model, perhaps with an adapter on it (`base+adapter`). */
export type InstalledModel = ModelFile & Readonly<{ adapter?: AdapterFile }>

export type LocalProviderParts = ModelPoolParts &
  Pick<AnswerParts, 'renderChat' | 'clock'> &
  Readonly<{
    /** Throws `not_found`, or `invalid` for a name that is none and for a file that answers no prompts. */
    findModel(name: string): Promise<InstalledModel>
    /** In alphabetical order. */
    listModels(): Promise<readonly ListedModel[]>
  }>

/** The models of this machine, each in a process of its own. One of them is selected: it answers who names none. */
export function createLocalProvider(parts: LocalProviderParts): ModelHost {
  const pool = createModelPool(parts)
  const closing = new AbortController()
  /** By full name; the file of a model in memory is not looked at again, so that a request costs no look at the disk. */
  const known = new Map<string, InstalledModel>()
  /** Answers by full name. */
  const served = new Map<string, number>()
  /** How many requests use an adapter now, by its name. */
  const adapting = new Map<string, number>()
  let selected: InstalledModel | undefined
  let selecting = 0
  let failure: string | undefined
  let lastSelection: Promise<unknown> = Promise.resolve()

  async function find(name: string): Promise<InstalledModel> {
    const one = known.get(name)
    const model = one === undefined ? undefined : pool.find(one.name)
    if (one === undefined || model?.opened === undefined || model.file.identity !== one.identity) return lookUp(name)
    if (one.adapter === undefined) return one
    // Adapters come and go while their base stays in memory.
    const { adapter } = await parts.findModel(name)
    return adapter === undefined ? lookUp(name) : { ...one, adapter }
  }

  async function lookUp(name: string): Promise<InstalledModel> {
    const found = await parts.findModel(name)
    known.set(fullName(found), found)
    return found
  }

  async function choose(name: string | undefined): Promise<ChosenModel> {
    if (name === undefined && selected === undefined) {
      throw new AppError('unavailable', status().reason ?? nothingSelected, { retryAfterSeconds: 2 })
    }
    return toChosen(await find(name ?? (selected === undefined ? '' : fullName(selected))))
  }

  async function* generate(request: GenerateRequest, signal: AbortSignal, onSent?: () => void): AsyncGenerator<GenerateEvent> {
    const arrivedAt = parts.clock()
    // What cannot be answered takes no place, and loads no model.
    if (request.choices > parts.maxParallel) throw tooManyChoices(request.choices, parts.maxParallel)
    refuseImages(request)
    const grammar = request.format === undefined ? undefined : grammarOf(request.format)
    const { adapter, ...file } = await find(request.model)
    const letGo = holdAdapter(adapter)
    try {
      yield* generateBy(file, { request, grammar, adapter, arrivedAt, onSent }, signal)
    } finally {
      letGo()
    }
  }

  type Asked = Pick<AnswerParts, 'request' | 'grammar' | 'adapter' | 'arrivedAt'> & Readonly<{ onSent: (() => void) | undefined }>

  async function* generateBy(file: ModelFile, { onSent, ...asked }: Asked, signal: AbortSignal): AsyncGenerator<GenerateEvent> {
    const { request } = asked
    const model = pool.get(file)
    checkLogitBias(request, model.opened?.engine.model.vocabularySize)
    const release = await model.queue.acquire(request.user, request.choices, signal)
    try {
      const lease = await pool.lease(model, signal)
      const leave = (whole: boolean) => {
        if (whole) model.answered()
        if (whole) served.set(request.model, (served.get(request.model) ?? 0) + 1)
        release()
        lease.release()
      }
      try {
        checkLogitBias(request, lease.engine.model.vocabularySize)
        onSent?.()
        yield* answerRequest({ ...parts, ...asked, engine: lease.engine, leave }, signal)
      } finally {
        leave(false)
      }
    } finally {
      release()
    }
  }

  function holdAdapter(adapter: AdapterFile | undefined): () => void {
    if (adapter === undefined) return () => {}
    const { name } = adapter
    const add = (count: number) => adapting.set(name, (adapting.get(name) ?? 0) + count)
    add(1)
    return () => void add(-1)
  }

  async function load(name: string, signal: AbortSignal): Promise<Readonly<{ file: InstalledModel; info: ModelInfo }>> {
    // Whoever asks for it explicitly may have put another file there, or mended what was wrong.
    const file = await lookUp(name)
    const model = pool.get(withoutAdapter(file))
    if (model.state === 'failed') await model.close()
    const { info, engine, release } = await pool.lease(model, signal)
    try {
      if (file.adapter !== undefined) await unlessAborted(engine.loadAdapter(file.adapter), signal)
      return { file, info: { ...info, name: fullName(file) } }
    } finally {
      release()
    }
  }

  async function select(name: string, signal: AbortSignal): Promise<ModelInfo> {
    const before = selected
    const isOpen = () => before !== undefined && pool.find(before.name)?.opened !== undefined
    const wasOpen = isOpen()
    try {
      // The first one is selected at once: requests may wait for it.
      if (selected === undefined) selected = await find(name)
      const { file, info } = await load(name, signal)
      selected = file
      failure = undefined
      if (before !== undefined && before.name !== file.name) void leaveMemory(before)
      return info
    } catch (error) {
      if (before === undefined) failure = error instanceof Error ? error.message : String(error)
      // It may have made room for the one that failed.
      else if (wasOpen && !isOpen() && !closing.signal.aborted) void load(fullName(before), closing.signal).catch(() => {})
      selected = before
      throw error
    }
  }

  async function leaveMemory(file: InstalledModel): Promise<void> {
    const model = pool.find(file.name)
    if (model !== undefined) await pool.unload(model)
  }

  function status(): EngineStatus {
    const models = pool.list()
    const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0)
    const model = selected === undefined ? undefined : pool.find(selected.name)
    const idle = selecting > 0 ? 'loading' : failure === undefined ? 'empty' : 'failed'
    const state = model === undefined ? idle : pool.stateOf(model)
    const reasons = { ready: undefined, unloaded: undefined, loading: beingLoaded, empty: nothingSelected }
    return {
      state,
      reason: state === 'failed' ? (model?.failure ?? failure) : reasons[state],
      active: sum(models.map(({ queue }) => queue.used)),
      queued: sum(models.map(({ queue }) => queue.waiting)),
      models: models.map((one) => one.load()),
      residentBytes: sum(models.map(({ opened }) => opened?.engine.report().residentBytes ?? 0)),
    }
  }

  function describe(listed: ListedModel): HostedModel {
    const { name, base } = listed
    const model = pool.find(base)
    return {
      ...listed,
      selected: selected !== undefined && name === fullName(selected),
      state: model !== undefined ? pool.stateOf(model) : listed.problem === undefined ? 'unloaded' : 'failed',
      reason: model?.failure ?? listed.problem,
      info: model?.info,
      active: model?.queue.used ?? 0,
      queued: model?.queue.waiting ?? 0,
      served: served.get(name) ?? 0,
      memoryBytes: model === undefined ? 0 : pool.memoryOf(model),
      loadedAt: model?.openedAt,
      usedAt: model?.usedAt,
    }
  }

  return {
    name: localProvider,
    ranOn: 'local',
    choose,
    generate,
    async countTokens({ model: name, prompt }, signal) {
      refuseImages({ model: name, prompt })
      const { engine, release } = await pool.lease(pool.get(withoutAdapter(await find(name))), signal)
      try {
        const rendered = await unlessAborted(renderPrompt(engine.model, prompt, parts.renderChat), signal)
        return await unlessAborted(engine.countTokens(rendered.prompt), signal)
      } finally {
        release()
      }
    },
    load: async (name, signal) => (await load(name, withClosing(signal))).info,
    select(name, signal) {
      selecting += 1
      const turn = lastSelection.then(() => select(name, withClosing(signal)))
      lastSelection = turn.catch(() => {})
      return turn.finally(() => {
        selecting -= 1
      })
    },
    async unload(name) {
      const model = pool.find((await find(name)).name)
      if (model !== undefined) await pool.unload(model)
    },
    isInUse(name) {
      const model = pool.find(name)
      const state = model === undefined ? 'unloaded' : pool.stateOf(model)
      return (
        state === 'ready' ||
        state === 'loading' ||
        selected?.name === name ||
        selected?.adapter?.name === name ||
        (adapting.get(name) ?? 0) > 0
      )
    },
    selected() {
      if (selected === undefined) return undefined
      const name = fullName(selected)
      const info = pool.find(selected.name)?.info
      return { name, info: info === undefined ? undefined : { ...info, name } }
    },
    list: async () => (await parts.listModels()).map(describe),
    status,
    memory: () => ({
      budgetBytes: parts.budgetBytes,
      usedBytes: pool.list().reduce((sum, model) => sum + pool.memoryOf(model), 0),
    }),
    async close() {
      closing.abort()
      await pool.close()
      selected = undefined
      failure = undefined
      await lastSelection
    },
  }

  function withClosing(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? closing.signal : AbortSignal.any([closing.signal, signal])
  }
}

const fullName = ({ name, adapter }: InstalledModel) => (adapter === undefined ? name : `${name}+${adapter.name}`)

function toChosen(file: InstalledModel): ChosenModel {
  const { identity, adapter } = file
  return { name: fullName(file), identity: adapter === undefined ? identity : `${identity}+${adapter.identity}` }
}

function withoutAdapter({ name, path, identity }: InstalledModel): ModelFile {
  return { name, path, identity }
}

const nothingSelected = 'No model is loaded. An admin can choose one with POST /model.'
const beingLoaded = 'The model is being loaded.'

function tooManyChoices(choices: number, limit: number): AppError {
  return new AppError('invalid', `${choices} answers at once were asked for, but this service generates ${limit} at most.`)
}
