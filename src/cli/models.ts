import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createClient } from '../client.ts'
import { baseUrlOf, type Context, configOf, writeLine } from './context.ts'
import { findToken } from './credentials.ts'
import { formatBytes } from './format.ts'

/** `models list`: the files in the models folder, and which of them answers now where a service runs. */
export async function listModels(context: Context): Promise<number> {
  const { say, terminal, flags } = context
  const { modelsDir } = configOf(context, { serves: false })
  const baseUrl = baseUrlOf(context)
  const client = createClient({ baseUrl, token: await findToken(context, baseUrl), fetch: context.fetch })
  // Without a service, or without the right to ask it, the list is as true, only shorter.
  const current = await client.model().then(
    ({ model_name }) => model_name,
    () => undefined,
  )
  const models = await findModels(modelsDir)
  if (flags.has('json')) {
    const rows = models.map(({ name, sizeBytes }) => ({ name, size_bytes: sizeBytes, loaded: name === current }))
    writeLine(terminal.output, JSON.stringify(rows, null, 2))
    return 0
  }
  if (models.length === 0) writeLine(terminal.notes, say('noModels', { folder: modelsDir }))
  for (const { name, sizeBytes } of models) {
    writeLine(terminal.output, [name, formatBytes(sizeBytes), ...(name === current ? [say('inUse')] : [])].join('\t'))
  }
  return 0
}

async function findModels(folder: string) {
  const files = (await readdir(folder).catch(() => [])).filter((file) => file.endsWith('.gguf')).sort()
  return Promise.all(
    files.map(async (file) => ({ name: file.replace(/\.gguf$/, ''), sizeBytes: (await stat(join(folder, file))).size })),
  )
}
