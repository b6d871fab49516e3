import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import { type KubernetesObject, partOf } from './kubernetes-api.ts'

const tools = join('.cache', 'deploy')
/** They come with `CI=true ./run_llm.sh test`; where that was never asked for, what needs them is left out. */
export const hasTools = existsSync(join(tools, 'requirements.txt')) || process.env.CI !== undefined
export const schemasFolder = join(tools, 'schemas')

export const chart = join('deploy', 'helm', 'simpleia')

/** Where one of the programs of test/deploy/requirements.txt is. */
export const toolPath = (name: string) => join(tools, 'bin', name)

export type Output = Readonly<{ code: number; text: string }>

/** Runs one of the programs to its end. */
export async function runTool(name: string, ...args: readonly string[]): Promise<Output> {
  const run = promisify(execFile)(toolPath(name), args, { maxBuffer: 1 << 24 })
  return run.then(
    ({ stdout, stderr }) => ({ code: 0, text: stdout + stderr }),
    (error: { code?: number; stdout?: string; stderr?: string }) => ({
      code: error.code ?? -1,
      text: `${error.stdout ?? ''}${error.stderr ?? ''}`,
    }),
  )
}

/** The values that the chart is tried with, as paths of files. */
export async function listValues(): Promise<string[]> {
  return (await readdir(join(chart, 'ci'))).sort().map((file) => join(chart, 'ci', file))
}

/** What the chart makes of values, as text; throws with what Helm says. */
export async function renderText(...args: readonly string[]): Promise<string> {
  const { code, text } = await runTool('helm', 'template', 'simpleia', chart, '--namespace', 'simpleia', ...args)
  if (code !== 0) throw new Error(text)
  return text
}

export async function render(...args: readonly string[]): Promise<KubernetesObject[]> {
  return readObjects(await renderText(...args))
}

export function readObjects(text: string): KubernetesObject[] {
  return parseAllDocuments(text).flatMap((document): KubernetesObject[] => {
    const object: unknown = document.toJS()
    return typeof object === 'object' && object !== null && 'kind' in object ? [{ ...object }] : []
  })
}

export const nameOf = (object: KubernetesObject) => `${String(object.kind)}/${String(partOf(object, 'metadata').name)}`

/** What a pod is made of: of Deployments and the like, or of a Pod itself. */
export function podOf(object: KubernetesObject): KubernetesObject | undefined {
  const spec = partOf(object, 'spec')
  if (object.kind === 'Pod') return spec
  return 'template' in spec ? partOf(partOf(spec, 'template'), 'spec') : undefined
}
