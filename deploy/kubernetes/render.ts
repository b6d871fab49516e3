import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { renderManifests } from '../../test/deploy/manifests.ts'

/** Writes the plain manifests anew: `node deploy/kubernetes/render.ts`, after a change of the chart. */
await mkdir(import.meta.dirname, { recursive: true })
for (const [file, text] of await renderManifests()) await writeFile(join(import.meta.dirname, file), text)
