import type { Making, ModelList, PullList, ServedModel } from '../../src/client.ts'
import { service } from '../shell/service.ts'
import { isAdmin } from '../shell/session.svelte.ts'
import { isMoving } from './model-groups.ts'

export type Doing = 'select' | 'load' | 'unload'

const [oftenMs, seldomMs] = [2000, 10_000]

/** The installed models and the work on them, as they are looked at again and again, and what the person is doing with one of them. */
export function createInstalled() {
  let list = $state.raw<ModelList | undefined>(undefined)
  let pulls = $state.raw<PullList>({ pulls: [], ended: [] })
  let makings = $state.raw<readonly Making[]>([])
  let isLocalOnly = $state<boolean | undefined>(undefined)
  let failure = $state.raw<unknown>(undefined)
  let doing = $state.raw<ReadonlyMap<string, Doing>>(new Map())
  let failed = $state.raw<ReadonlyMap<string, Readonly<{ doing: Doing; error: unknown }>>>(new Map())

  async function refresh(signal?: AbortSignal): Promise<void> {
    try {
      const [models, told, made] = await Promise.all([
        service.models(signal),
        ...(isAdmin() ? ([service.pulls(signal), service.makings(signal)] as const) : []),
      ])
      isLocalOnly ??= (await service.health()).local_only
      if (signal?.aborted) return
      list = models
      if (told !== undefined) pulls = told
      if (made !== undefined) makings = made.items
      failure = undefined
    } catch (error) {
      if (!signal?.aborted) failure = error
    }
  }

  async function act({ name }: ServedModel, what: Doing): Promise<boolean> {
    doing = new Map([...doing, [name, what]])
    failed = new Map([...failed].filter(([other]) => other !== name))
    try {
      if (what === 'select') await service.select({ model_name: name })
      else await service.changeLoaded(name, what)
      return true
    } catch (error) {
      failed = new Map([...failed, [name, { doing: what, error }]])
      return false
    } finally {
      doing = new Map([...doing].filter(([other]) => other !== name))
      await refresh()
    }
  }

  const isWorking = () => pulls.pulls.length > 0 || makings.some(({ state }) => state === 'running')

  return {
    get list() {
      return list
    },
    get pulls() {
      return pulls
    },
    /** Quantizations and merges of all processes. */
    get makings() {
      return makings
    },
    /** Undefined until it is known. */
    get isLocalOnly() {
      return isLocalOnly
    },
    /** Why the list could not be read the last time. */
    get failure() {
      return failure
    },
    doingWith: (name: string) => doing.get(name),
    failureOf: (name: string) => failed.get(name),
    refresh,
    act,
    /** When to look again. */
    waitMs: () => (doing.size > 0 || isWorking() || isMoving(list?.models ?? []) ? oftenMs : seldomMs),
  }
}

export type Installed = ReturnType<typeof createInstalled>
