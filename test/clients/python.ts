import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { text } from 'node:stream/consumers'
import type { World } from './world.ts'

// Made by `./run_llm.sh test` when CI is set; by hand:
// python3 -m venv .cache/python && .cache/python/bin/python -m pip install -r test/clients/requirements.txt
// cp test/clients/requirements.txt .cache/python
export const python = '.cache/python/bin/python'
const installed = '.cache/python/requirements.txt'

/** Whether all of them are there, in their versions. */
export const hasPython =
  existsSync(installed) && readFileSync(installed, 'utf8') === readFileSync('test/clients/requirements.txt', 'utf8')

export type Report = Readonly<{ feature: string; state: 'works' | 'failed' | 'missing'; detail: string }>

export type PythonClient = Readonly<{
  /** Runs its checks: a line of the report for each feature. */
  report(world: World): Promise<readonly Report[]>
  close(): void
}>

/** Starts the checks of a client, which wait for the world: importing it takes seconds. */
export function openPythonClient(script: string): PythonClient {
  const child = spawn(python, ['-B', `test/clients/python/${script}.py`], { env: pythonEnvironment })
  const output = text(child.stdout)
  const problems = text(child.stderr)
  return {
    async report({ real, model, embeddingModel: embedding_model, scripted, key }) {
      child.stdin.end(`${JSON.stringify({ real, model, embedding_model, scripted, key })}\n`)
      const lines = (await output).split('\n').filter(Boolean)
      const code = await exitCode(child)
      if (code !== 0) throw new Error(`${script}.py ended with ${code}:\n${await problems}`)
      return lines.map((line) => JSON.parse(line))
    },
    close: () => void child.kill(),
  }
}

async function exitCode(child: ChildProcessWithoutNullStreams): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return child.exitCode
}

/** Only this machine can be reached: all else goes to a port where nobody listens. */
const nowhere = 'http://127.0.0.1:9'

export const pythonEnvironment = {
  HOME: tmpdir(),
  PATH: process.env.PATH ?? '',
  HTTP_PROXY: nowhere,
  HTTPS_PROXY: nowhere,
  NO_PROXY: '127.0.0.1',
  LITELLM_LOCAL_MODEL_COST_MAP: 'True',
  LITELLM_TELEMETRY: 'False',
  LANGSMITH_TRACING: 'false',
  PYTHONUTF8: '1',
}
