import { setImmediate } from 'node:timers/promises'
import type { GenerateEvent, GenerateRequest, ModelHost, ModelInfo } from '../src/engine/provider.ts'
import { AppError } from '../src/errors.ts'
import { listed } from './fake-engine.ts'

/** Numbers of an answer that took no time. */
export const noTimings = { queueMs: 0, promptMs: 0, firstTokenMs: 0, generationMs: 0, tokensPerSecond: 0 }

/** The last event of an answer. */
export const generationEnd = (promptTokens = 7, completionTokens = 3): GenerateEvent => ({
  type: 'generation-end',
  usage: { promptTokens, completionTokens, cachedPromptTokens: 0 },
  timings: noTimings,
})

/**
 * A host with one model, "scripted", whose answers are the events that `answer` gives, as they are: for what the scripted engine cannot
 * write itself (tool calls, reasoning). A thrown error comes where it stands in the script.
 */
export function createScriptedHost(
  answer: (request: GenerateRequest) => Iterable<GenerateEvent>,
): ModelHost & { readonly asked: readonly GenerateRequest[] } {
  const asked: GenerateRequest[] = []
  const info = scriptedModel
  return {
    name: 'hf',
    ranOn: 'local',
    asked,
    async choose(name = info.name) {
      if (name !== info.name) throw new AppError('not_found', `No model is called "${name}".`)
      return info
    },
    async *generate(request, signal) {
      asked.push(request)
      for (const event of answer(request)) {
        await setImmediate()
        if (signal.aborted) throw new AppError('aborted', 'The caller left.')
        yield event
      }
    },
    countTokens: async ({ prompt }) => JSON.stringify(prompt).length,
    select: async () => info,
    load: async () => info,
    unload: async () => {},
    isInUse: (name) => name === info.name,
    selected: () => ({ name: info.name, info }),
    list: async () => [
      {
        ...listed(info.name),
        selected: true,
        state: 'ready',
        reason: undefined,
        info,
        active: 0,
        queued: 0,
        served: 0,
        memoryBytes: 0,
        loadedAt: undefined,
        usedAt: undefined,
      },
    ],
    status: () => ({ state: 'ready', reason: undefined, active: 0, queued: 0, residentBytes: 0, models: [] }),
    memory: () => ({ budgetBytes: 8, usedBytes: 0 }),
    close: async () => {},
  }
}

const scriptedModel: ModelInfo = {
  name: 'scripted',
  identity: 'scripted-1',
  device: 'cpu',
  contextSize: 4096,
  quantization: 'none',
  architecture: 'fake',
  cacheType: 'f16',
  parameters: 1,
  sizeBytes: 1,
  hasChatTemplate: true,
  threads: 1,
}
