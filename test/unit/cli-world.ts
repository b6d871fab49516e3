import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import { runCli } from '../../src/cli/cli.ts'
import type { GenerateRequest, HostedModel, ModelHost, ModelInfo } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { listed } from '../fake-engine.ts'
import { startServer } from '../server.ts'

const info: ModelInfo = {
  name: 'small',
  identity: 'small-1',
  device: 'cpu',
  contextSize: 4096,
  quantization: 'none',
  architecture: 'none',
  cacheType: 'f16',
  parameters: 1,
  sizeBytes: 1,
  hasChatTemplate: true,
  threads: 1,
}

const hosted: HostedModel = {
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
}

/** A model that gives these pieces to every question; `Infinity` pieces never end. */
export function scriptedHost(pieces: Iterable<string>) {
  const asked: GenerateRequest[] = []
  const host: ModelHost = {
    name: 'hf',
    ranOn: 'local',
    choose: async () => info,
    async *generate(request, signal) {
      asked.push(request)
      let completionTokens = 0
      for (const piece of pieces) {
        await new Promise((resolve) => setImmediate(resolve))
        if (signal.aborted) throw new AppError('aborted', 'The caller left.')
        completionTokens += 1
        yield { type: 'text-delta', index: 0, text: piece }
      }
      yield { type: 'choice-end', index: 0, reason: 'stop' }
      const timings = { queueMs: 0, promptMs: 0, firstTokenMs: 0, generationMs: 0, tokensPerSecond: 0 }
      yield { type: 'generation-end', usage: { promptTokens: 1, completionTokens, cachedPromptTokens: 0 }, timings }
    },
    countTokens: async () => 1,
    select: load,
    load,
    unload: async () => {},
    isInUse: (name) => name === info.name,
    selected: () => ({ name: info.name, info }),
    list: async () => [hosted],
    status: () => ({ state: 'ready', reason: undefined, active: 0, queued: 0, residentBytes: 0, models: [] }),
    memory: () => ({ budgetBytes: 8, usedBytes: 0 }),
    close: async () => {},
  }
  return { host, asked }
}

async function load(name: string): Promise<ModelInfo> {
  if (name !== info.name) throw new AppError('not_found', `No model is called "${name}".`)
  return info
}

export type Result = Readonly<{ code: number; output: string; notes: string }>

/** Runs command lines in this process, with a config folder of their own, against a service when there is one. */
export async function createCli(variables: Record<string, string> = {}, { isPerson = false } = {}) {
  const home = await mkdtemp(join(tmpdir(), 'simpleia-cli-'))
  const environment = {
    XDG_CONFIG_HOME: home,
    LANG: 'en_US.UTF-8',
    MODELS_DIR: join(home, 'models'),
    DATA_DIR: join(home, 'data'),
    ...variables,
  }
  const run = async (line: string, input = ''): Promise<Result> => {
    const openStream = () => Object.assign(new PassThrough(), { isTTY: isPerson })
    const [output, notes] = [openStream(), openStream()]
    const running = runCli({
      args: line === '' ? [] : line.split(' '),
      environment,
      readEnvFile: () => undefined,
      terminal: { input: Readable.from([input]), output, notes },
      fetch: globalThis.fetch,
      version: '1.2.3',
    }).finally(() => {
      output.end()
      notes.end()
    })
    const [code, written, said] = await Promise.all([running, text(output), text(notes)])
    return { code, output: written, notes: said }
  }
  return { run, home, environment }
}

/** A whole service on loopback and a command line that calls it. */
export async function createServedCli({
  pieces = ['Hello', ' there'],
  service = {},
  ...variables
}: { pieces?: Iterable<string>; service?: Record<string, string> } & Record<string, unknown> = {}) {
  const { host, asked } = scriptedHost(pieces)
  const server = await startServer({ host, settings: service })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const cli = await createCli({ PORT: String(server.port), ...(variables as Record<string, string>) })
  return { ...cli, server, asked }
}
