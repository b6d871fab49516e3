import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { GenerateRequest, ModelHost } from '../src/engine/provider.ts'
import { AppError } from '../src/errors.ts'
import type { ScoreFileParts } from '../src/evaluation/score-file.ts'
import { ggufBytes } from './gguf-bytes.ts'
import { createScriptedHost, generationEnd } from './scripted-host.ts'
import { type StartOptions, startServer } from './server.ts'
import { readEvents } from './sse-parser.ts'

const models = ['base', 'tuned', 'other']

/** A host of three models; each says its name and what it was asked. */
export function createThreeModels(
  answer = ({ model, prompt }: GenerateRequest) =>
    `${model}: ${prompt.type === 'text' ? prompt.text : prompt.messages.at(-1)?.content}`,
): ModelHost & { readonly asked: readonly GenerateRequest[] } {
  const host = createScriptedHost((request) => [
    { type: 'text-delta', index: 0, text: answer(request) },
    { type: 'choice-end', index: 0, reason: 'stop' },
    generationEnd(),
  ])
  return {
    ...host,
    async choose(name = 'base') {
      if (!models.includes(name)) throw new AppError('not_found', `No model is called "${name}".`)
      return { name, identity: name }
    },
  }
}

const noTotals = {
  examples: 0,
  tooLong: 0,
  empty: 0,
  targets: 0,
  meanNll: undefined,
  preferences: 0,
  preferred: 0,
  tokensPerSecond: 0,
}

/** Scores each example by its length, and holds on at one where `pause` says so. */
export function scriptedScoring(
  pause: (index: number, signal: AbortSignal) => Promise<void> = async () => {},
): ScoreFileParts['runScoring'] & { jobs: string[] } {
  const jobs: string[] = []
  async function* runScoring(job: Parameters<ScoreFileParts['runScoring']>[0], signal: AbortSignal) {
    jobs.push(job.modelPath)
    const lines = (await readFile(job.examplesFile, 'utf8')).trimEnd().split('\n')
    for (const [index, line] of lines.entries()) {
      await pause(index, signal)
      if (signal.aborted) throw new AppError('aborted', 'Stopped.')
      const worse = job.modelPath.includes('tuned') ? 1.01 : 1
      const score = { type: 'text', logprob: -line.length * worse, targets: line.length } as const
      yield { type: 'example-scored', index, score } as const
    }
    yield { type: 'score-end', totals: noTotals } as const
  }
  return Object.assign(runScoring, { jobs })
}

/** Pauses at the first example until it is let go on or stopped. */
export function holding() {
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const pause = async (index: number, signal: AbortSignal) => {
    if (index !== 1) return
    begun.resolve()
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    await Promise.race([goOn.promise, stopped])
  }
  return { pause, begun: begun.promise, goOn: goOn.resolve }
}

export type EvaluationWorldOptions = Partial<StartOptions> & Readonly<{ dataDir?: string }>

/** The whole service with three models, whose files are in its folder, and an admin. */
export async function startEvaluationWorld({ settings = {}, ...parts }: EvaluationWorldOptions = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-evaluation-'))
  const modelsDir = join(folder, 'models')
  await mkdir(modelsDir)
  const bytes = ggufBytes({ metadata: { 'general.architecture': 'llama' } })
  for (const name of models) await writeFile(join(modelsDir, `${name}.gguf`), bytes)
  const server = await startServer({
    host: createThreeModels(),
    runScoring: scriptedScoring(),
    ...parts,
    settings: { DATABASE_URL: join(folder, 'simpleia.db'), MODELS_DIR: modelsDir, ...settings },
  })
  let isGone = false
  const stop = async () => {
    if (!isGone) await server[Symbol.asyncDispose]()
    isGone = true
  }
  onTestFinished(async () => {
    await stop()
    await rm(folder, { recursive: true, force: true })
  })
  const callerOf = async (username: string) => {
    const authorization = `Bearer ${await server.login(username)}`
    return async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
      const response = await fetch(`${server.url}${path}`, {
        method,
        headers: { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await response.text()
      const isJson = response.headers.get('content-type')?.includes('json') === true
      return { status: response.status, text, json: isJson ? JSON.parse(text) : undefined }
    }
  }
  /** Opens a stream as the admin. */
  const follow = async (path: string, headers: Record<string, string> = {}) => {
    const authorization = `Bearer ${await server.login('root')}`
    return readEvents(await fetch(`${server.url}${path}`, { headers: { authorization, ...headers } }))
  }
  return { ...server, folder, stop, callerOf, follow, admin: await callerOf('root') }
}
