import { spawn } from 'node:child_process'
import type { Run } from '../models/package-download.ts'

const keptCharacters = 20_000

/**
 * Runs a program to its end and keeps the last of what it writes; code -1 when there is no such program. The signal ends it, for good after
 * `killAfterMs`: what stands still does not end when it is asked to.
 */
export const runProgram = (command: string, args: readonly string[], signal?: AbortSignal, killAfterMs = 5000): ReturnType<Run> =>
  new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let force: NodeJS.Timeout | undefined
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-keptCharacters)
    }
    const stop = () => {
      child.kill()
      force = setTimeout(() => child.kill('SIGKILL'), killAfterMs)
    }
    const end = (outcome: Awaited<ReturnType<Run>>) => {
      clearTimeout(force)
      signal?.removeEventListener('abort', stop)
      resolve(outcome)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.once('error', (error) => end({ code: -1, output: error.message }))
    child.once('close', (code) => end({ code: code ?? -1, output }))
    if (signal?.aborted) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })

/** Runs a program that shares this terminal; gives its exit code, as a shell would after a signal. */
export function runInTerminal(command: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'inherit' })
    child.once('error', () => resolve(127))
    child.once('close', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 143)))
  })
}
