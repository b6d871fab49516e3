import { setImmediate, setTimeout } from 'node:timers/promises'
import { plainChatStops, renderPlainChat } from '../src/engine/chat-template-plain.ts'
import type { RenderedChat } from '../src/engine/local/answer-request.ts'
import type { Backend, BatchRow } from '../src/engine/local/backend.ts'
import { type Child, openEngine } from '../src/engine/local/engine-process.ts'
import { createLocalProvider } from '../src/engine/local/local-provider.ts'
import type { FromWorker, LoadedModel, StartOptions } from '../src/engine/local/protocol.ts'
import { createWorker } from '../src/engine/local/worker-core.ts'
import type { ListedModel, ModelHost } from '../src/engine/provider.ts'
import { AppError } from '../src/errors.ts'
import { anything, createFakeGrammar } from './fake-grammar.ts'

/** What the scripted model answers to a prompt: the bytes of one token after the other. */
export type Script = Readonly<{
  pieces: readonly (string | Uint8Array)[]
  /** Whether the answer ends after the pieces (the default); otherwise they come again and again. */
  end?: boolean
  /** The model fails, and its process with it, when it has given so many tokens. */
  failAfter?: number
}>

export type FakeEngineOptions = Readonly<{
  answer: (prompt: string) => Script
  /** In tokens; each character of a prompt is one. */
  contextSize?: number
  cacheSize?: number
  parallel?: number
  maxQueue?: number
  /** What a step of so many rows is said to cost. */
  stepCost?: (rows: number) => number
  /** Installed models; the first is selected, and one called `broken` cannot be loaded. */
  models?: readonly string[]
  /** Told the name of each model that is loaded. */
  onLoad?: (name: string) => void
  /** Pieces that are control tokens: part of an answer only where they are to be shown. */
  controlTokens?: readonly string[]
  /**
   * Whether answers keep to their grammars: where the script does not, some piece that has been said before is said, and the answer ends
   * where none fits. Otherwise the script is followed (the default).
   */
  keepsToGrammars?: boolean
  /** What the chat template asks for beside the prompt. */
  chat?: Partial<RenderedChat>
  /** Between two steps: 0 only lets others run. */
  pauseMs?: number
}>

const end = 0
/** Tokens of prompts are the characters' codes above this; those below are pieces of scripts. */
const firstCharacter = 0x10000

/** The real provider and scheduler over a model that reads its lines from a script, in this process. */
export function createFakeEngine(options: FakeEngineOptions): ModelHost {
  const { parallel = 16, maxQueue = 64, models = ['fake'], onLoad = () => {} } = options
  const host = createLocalProvider({
    openEngine: async ({ path }, signal) => {
      onLoad(path)
      if (path === 'broken') throw new AppError('invalid', 'The file "broken.gguf" is cut off.')
      const load = {
        path,
        contextSize: undefined,
        cacheType: 'auto',
        maxParallel: parallel,
        threads: 1,
        speculates: true,
        device: 'cpu',
      } as const
      return openEngine(createFakeChild(options), load, signal)
    },
    async findModel(name) {
      if (!models.includes(name)) throw new AppError('not_found', `No model is called "${name}".`)
      return { name, path: name, identity: name }
    },
    listModels: async () => models.toSorted().map(listed),
    renderChat: async (_model, { messages }) => {
      return { prompt: renderPlainChat(messages), stop: plainChatStops, dropsFirstSpace: false, ...options.chat }
    },
    maxParallel: parallel,
    maxQueue,
    ...roomForAll,
  })
  if (models[0] !== undefined) host.select(models[0]).catch(() => {})
  return host
}

/** What a host asks of its surroundings, where memory is no matter. */
export const roomForAll = {
  estimateBytes: async () => 0,
  budgetBytes: 0,
  adviseOn: async () => '',
  keepAliveMs: Number.POSITIVE_INFINITY,
  now: () => 0,
  clock: () => performance.now(),
  onChange() {},
}

/** An installed chat model. */
export function listed(name: string): ListedModel {
  const header = { architecture: 'fake', quantization: 'none', parameters: 1, sizeBytes: 1, trainedContext: 1, estimatedBytes: 1 }
  return { name, base: name, aliases: [], kind: 'chat', header, problem: undefined }
}

/** A child "process" that is none: the messages are the same. */
export function createFakeChild(options: FakeEngineOptions): Child & { die(reason: string): void; isDead(): boolean } {
  let onMessage = (_message: FromWorker) => {}
  let onExit = (_reason: string) => {}
  let dead = false
  const die = (reason: string) => {
    dead = true
    queueMicrotask(() => onExit(reason))
  }
  const worker = createWorker({
    open: () => ({ backend: createScriptedBackend(options), model: createFakeModel(options) }),
    send(message) {
      if (!dead) onMessage(message)
    },
    // A dead process does nothing more.
    pause: () => (dead ? new Promise(() => {}) : options.pauseMs ? setTimeout(options.pauseMs) : setImmediate()),
    now: () => performance.now(),
    residentBytes: () => 1,
    fail: (error) => die(String(error)),
  })
  return {
    send(message) {
      queueMicrotask(() => {
        if (!dead) worker.receive(message)
      })
    },
    kill: () => die('SIGKILL'),
    die,
    isDead: () => dead,
    onMessage(listener) {
      onMessage = listener
    },
    onExit(listener) {
      onExit = listener
    },
  }
}

/** What an engine is asked for one answer, the likeliest token each time. */
export const askEngine = (prompt: string, maxTokens?: number): StartOptions => ({
  adapter: undefined,
  prompt: [{ text: prompt, special: false }],
  maxTokens,
  choices: 1,
  sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: 1 },
  repeatable: true,
  stop: [],
  dropsFirstSpace: false,
  grammar: undefined,
})

/** What the scripted model says of itself. */
export function createFakeModel({ contextSize = 4096 }: Pick<FakeEngineOptions, 'contextSize'> = {}): LoadedModel {
  return {
    contextSize,
    device: 'cpu',
    threads: 1,
    quantization: 'none',
    architecture: 'fake',
    cacheType: 'f16',
    parameters: 1,
    sizeBytes: 1,
    vocabularySize: 1000,
    chatTemplate: undefined,
    bosToken: '',
    eosToken: '',
    controlTokens: [],
  }
}

/** Reads each answer from the script; remembers what its sequences hold, as llama.cpp does. */
export function createScriptedBackend(options: FakeEngineOptions): Backend {
  const { answer, contextSize = 4096, cacheSize, parallel = 16, stepCost = () => 0, controlTokens = [] } = options
  const pieces: Uint8Array[] = [new Uint8Array()]
  const known = new Map<string, number>()
  const held = new Map<number, number[]>()
  let batch: readonly BatchRow[] = []

  function tokenOf(piece: string | Uint8Array): number {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece
    const key = Buffer.from(bytes).toString('hex')
    const token = known.get(key) ?? pieces.push(bytes) - 1
    known.set(key, token)
    return token
  }

  function nextToken(tokens: readonly number[]): number {
    const prompt = tokens.filter((token) => token >= firstCharacter)
    const script = answer(String.fromCodePoint(...prompt.map((token) => token - firstCharacter)))
    const given = tokens.length - prompt.length
    if (script.failAfter === given) throw new Error('The script says that the model fails here.')
    const piece = script.pieces[script.end === false ? given % script.pieces.length : given]
    return piece === undefined ? end : tokenOf(piece)
  }

  const textOf = (token: number) => Buffer.from(pieces[token] ?? []).toString()
  const controlText = (token: number) => (controlTokens.includes(textOf(token)) ? textOf(token) : '')
  const tokensOf = (sequence: number) => held.get(sequence) ?? []
  return {
    contextSize,
    cacheSize: cacheSize ?? contextSize * parallel * 2,
    sequences: parallel * 2,
    batchSize: 512,
    mostOutputs: parallel * 2,
    slidingWindow: 0,
    worthSharing: 1,
    tokenize: (parts) => parts.flatMap(({ text }) => Array.from(text, (letter) => (letter.codePointAt(0) ?? 0) + firstCharacter)),
    piece: (token) => (controlText(token) === '' ? (pieces[token] ?? new Uint8Array()) : new Uint8Array()),
    controlText,
    isEnd: (token) => token === end,
    evaluate(rows) {
      batch = rows
      for (const { token, position, sequence } of rows) {
        const tokens = tokensOf(sequence)
        if (position !== tokens.length) throw new Error(`Position ${position} of a sequence of ${tokens.length} tokens.`)
        held.set(sequence, [...tokens, token])
      }
      return true
    },
    scores(row) {
      const { sequence = -1, position = -1 } = batch[row] ?? {}
      const token = nextToken(tokensOf(sequence).slice(0, position + 1))
      const scores = new Float32Array(pieces.length)
      scores.fill(-100)
      scores[token] = 0
      return scores
    },
    copySequence: (source, target, length) => void held.set(target, tokensOf(source).slice(0, length)),
    truncateSequence: (sequence, position) => void held.set(sequence, tokensOf(sequence).slice(0, position)),
    firstPosition: (sequence) => (tokensOf(sequence).length > 0 ? 0 : -1),
    saveSequence: (sequence) => new Uint8Array(Int32Array.from(tokensOf(sequence)).buffer),
    restoreSequence(sequence, saved) {
      held.set(sequence, [...new Int32Array(saved.buffer)])
      return true
    },
    stepCost,
    loadAdapter() {},
    useAdapter() {},
    createGrammar: (grammar, root) => (options.keepsToGrammars ? createFakeGrammar(grammar, { textOf, end }, root) : anything),
    close() {},
  }
}
