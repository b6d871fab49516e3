import { basename } from 'node:path'
import { listValues, renderText } from './chart.ts'

/** The plain manifests, by their file in deploy/kubernetes: what the chart makes of each of its ci values. */
export async function renderManifests(): Promise<ReadonlyArray<readonly [file: string, text: string]>> {
  return Promise.all(
    (await listValues()).map(async (values) => {
      const file = `${basename(values).replace('-values', '')}`
      const heading = `# Made from deploy/helm/simpleia with ci/${basename(values)} by "node deploy/kubernetes/render.ts". Do not edit by hand.\n`
      return [file, heading + plain(await renderText('--no-hooks', '--values', values))] as const
    }),
  )
}

/** Without what only Helm reads. */
function plain(text: string): string {
  return text
    .replace(/^ +annotations:\n(?: +#.*\n)? +helm\.sh\/\S+: .*\n/gm, '')
    .replaceAll('managed-by: Helm', 'managed-by: kubectl')
}
