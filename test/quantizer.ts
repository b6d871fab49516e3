import type { FromQuantizer, Measurement, ToQuantizer } from '../src/engine/local/quantize-protocol.ts'
import type { ProcessChild } from '../src/engine/local/spawn-process.ts'

type Exit = Readonly<{ type: 'exit'; reason: string }>

export type Script<To, From> = (message: To) => Iterable<From | Exit>

/**
 * Processes that are none: each gets the next script, as a function of the job that it is given. A process whose script has ended
 * does nothing more until it is killed.
 */
export function scriptedProcesses<To, From extends Readonly<{ type: string }>>(...scripts: Script<To, From>[]) {
  const isExit = (step: From | Exit): step is Exit => step.type === 'exit'
  const jobs: To[] = []
  const killed: boolean[] = []

  function spawn(): ProcessChild<To, From> {
    const script = scripts[killed.length]
    const index = killed.push(false) - 1
    let onMessage = (_message: From) => {}
    let onExit = (_reason: string) => {}
    let isOver = false
    const exit = (reason: string) => {
      if (!isOver) onExit(reason)
      isOver = true
    }
    return {
      send(message) {
        jobs.push(message)
        for (const step of script?.(message) ?? []) {
          queueMicrotask(() => {
            if (isExit(step)) exit(step.reason)
            else if (!isOver) onMessage(step)
          })
        }
      },
      kill() {
        killed[index] = true
        queueMicrotask(() => exit('SIGKILL'))
      },
      onMessage(listener) {
        onMessage = listener
      },
      onExit(listener) {
        onExit = listener
      },
    }
  }

  return { spawn, jobs, killed }
}

/** Processes of quantizations that are none. */
export function scriptedQuantizers(...scripts: Script<ToQuantizer, FromQuantizer>[]) {
  return scriptedProcesses(...scripts)
}

const measures = { weightBytes: 4, bitsPerWeight: 8, perplexity: 10, perplexityError: 1, tokensPerSecond: 50 }

export const measurement: Measurement = {
  scoredTokens: 510,
  chunks: 2,
  original: { ...measures, quantization: 'F16' },
  result: { ...measures, quantization: 'Q8_0', klDivergence: 0.01, klDivergenceError: 0.001, topAgreement: 0.95 },
}
