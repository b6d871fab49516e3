import { type ChildProcess, fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AppError } from '../errors.ts'
import { type FromTemplateWorker, type ToTemplateWorker, templateFailures } from './chat-template-protocol.ts'
import { createProcessEnd } from './local/process-end.ts'

export type TemplateProcessLimits = Readonly<{ timeLimitMs: number; memoryMb: number; maxLength: number; maxQueue: number }>

export interface TemplateProcess {
  /** Throws `busy` when too many wait, `unavailable` when the process died of this request. */
  render(request: Pick<ToTemplateWorker, 'template' | 'variables'>): Promise<FromTemplateWorker>
  close(): Promise<void>
}

type Job = Readonly<{
  request: ToTemplateWorker
  resolve: (answer: FromTemplateWorker) => void
  reject: (error: AppError) => void
}>

/**
 * Runs jobs one by one in a process that is kept for the next ones, and replaced when it died.
 * A process, not a thread: V8 ends the whole process when one string outgrows a thread's memory limit.
 */
export function createTemplateProcess(limits: TemplateProcessLimits): TemplateProcess {
  const waiting: Job[] = []
  let warm: ChildProcess | undefined
  let working: Promise<void> | undefined
  let closed = false

  async function work(): Promise<void> {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
      // One that was ended from outside while nobody used it is no fault of this job.
      if (warm !== undefined && hasEnded(warm)) warm = undefined
      warm ??= startProcess(limits.memoryMb)
      const outcome = await runJob(warm, job.request, limits.timeLimitMs)
      if (outcome instanceof AppError) {
        warm.kill('SIGKILL')
        warm = undefined
        job.reject(outcome)
      } else job.resolve(outcome)
    }
    working = undefined
  }

  return {
    render({ template, variables }) {
      return new Promise((resolve, reject) => {
        if (closed) return reject(shuttingDown())
        if (waiting.length >= limits.maxQueue)
          return reject(new AppError('busy', `${waiting.length} conversations wait already.`))
        const request = { template, variables, timeLimitMs: limits.timeLimitMs, maxLength: limits.maxLength }
        waiting.push({ request, resolve, reject })
        working ??= work()
      })
    },
    async close() {
      closed = true
      for (const { reject } of waiting.splice(0)) reject(shuttingDown())
      await working
      if (warm === undefined || hasEnded(warm)) return
      warm.ref()
      const end = createProcessEnd(warm)
      end.kill()
      await new Promise<string>(end.onEnd)
    },
  }
}

const shuttingDown = () => new AppError('unavailable', 'The service is shutting down.')
const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null

function startProcess(memoryMb: number): ChildProcess {
  // Run from source it is a .ts file, from the published build a .js file.
  const file = fileURLToPath(new URL(`./chat-template-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url))
  const renderer = dirname(dirname(createRequire(import.meta.url).resolve('@huggingface/jinja')))
  const readable = [dirname(file), renderer].map((path) => `--allow-fs-read=${path}`)
  const execArgv = ['--permission', ...readable, `--max-old-space-size=${memoryMb}`, '--disable-warning=SecurityWarning']
  const child = fork(file, [], { env: {}, execArgv, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
  // A process that nobody closed keeps its parent alive no longer than its work does.
  child.unref()
  child.channel?.unref()
  return child
}

const startLimitMs = 5000

/** An answer, or why the process can't be used again. */
function runJob(child: ChildProcess, request: ToTemplateWorker, timeLimitMs: number): Promise<FromTemplateWorker | AppError> {
  return new Promise((resolve) => {
    const onMessage = (message: unknown) =>
      end(isAnswer(message) ? message : new AppError('internal', 'The template process answered nonsense.'))
    const onEnd = (cause: unknown) =>
      end(new AppError('unavailable', "The model's chat template needs too much memory, so the model can't chat.", { cause }))
    const timer = setTimeout(() => onEnd('no answer in time'), timeLimitMs + startLimitMs)
    child.on('message', onMessage).on('error', onEnd).on('exit', onEnd)
    if (hasEnded(child)) onEnd('ended')
    else child.send(request)

    function end(outcome: FromTemplateWorker | AppError): void {
      clearTimeout(timer)
      child.off('message', onMessage).off('error', onEnd).off('exit', onEnd)
      // A listener stays, as an error without one would end this process.
      if (outcome instanceof AppError) child.on('error', () => undefined)
      resolve(outcome)
    }
  })
}

function isAnswer(message: unknown): message is FromTemplateWorker {
  if (typeof message !== 'object' || message === null || !('type' in message)) return false
  if (message.type === 'rendered') return 'text' in message && typeof message.text === 'string'
  return message.type === 'failed' && 'reason' in message && templateFailures.some((reason) => reason === message.reason)
}
