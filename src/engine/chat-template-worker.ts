import { Script } from 'node:vm'
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja'
import type { FromTemplateWorker, ToTemplateWorker } from './chat-template-protocol.ts'
import { formatTime } from './chat-template-time.ts'

class RaisedByTemplate extends Error {}

const longestRange = 100_000

function boundedRange(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second]
  const count = Math.max(0, Math.ceil((stop - start) / step))
  if (!(count <= longestRange)) throw new Error(`range() is limited to ${longestRange} numbers`)
  return Array.from({ length: count }, (_, place) => start + place * step)
}

function raise(message: unknown): never {
  throw new RaisedByTemplate(String(message))
}

function createEnvironment(variables: ToTemplateWorker['variables']): Environment {
  const environment = new Environment()
  const globals = { true: true, True: true, false: false, False: false, none: null, None: null }
  const functions = {
    raise_exception: raise,
    range: boundedRange,
    strftime_now: (format: string) => formatTime(format, new Date()),
  }
  for (const [name, value] of Object.entries({ ...globals, ...functions, ...variables })) environment.set(name, value)
  return environment
}

function render({ template, variables, maxLength }: ToTemplateWorker): FromTemplateWorker {
  let program: ReturnType<typeof parse>
  try {
    program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }))
  } catch (error) {
    return { type: 'failed', reason: 'template', message: messageOf(error) }
  }
  try {
    const { value } = new Interpreter(createEnvironment(variables)).run(program)
    if (typeof value !== 'string') return { type: 'failed', reason: 'rendering', message: 'it gave no text' }
    if (value.length > maxLength) return { type: 'failed', reason: 'too-long', message: `${value.length} characters` }
    return { type: 'rendered', text: value }
  } catch (error) {
    return { type: 'failed', reason: error instanceof RaisedByTemplate ? 'raised' : 'rendering', message: messageOf(error) }
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error)).slice(0, 500)

// The time limit of node:vm holds for all that the script calls. It ends an endless template even when the parent is gone.
function renderInTime(request: ToTemplateWorker): FromTemplateWorker {
  let answer: FromTemplateWorker = { type: 'failed', reason: 'too-slow', message: `${request.timeLimitMs} ms` }
  const run = () => {
    answer = render(request)
  }
  Reflect.set(globalThis, 'renderTemplate', run)
  try {
    new Script('renderTemplate()').runInThisContext({ timeout: request.timeLimitMs })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')) throw error
  }
  return answer
}

process.on('message', (request: ToTemplateWorker) => process.send?.(renderInTime(request)))
process.on('disconnect', () => process.exit())
