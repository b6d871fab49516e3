import { setTimeout } from 'node:timers/promises'
import { type Client, createClient, type ServedModel } from '../client.ts'
import { createModelRegistry, type ModelDetails } from '../models/registry.ts'
import { removeModel } from '../models/remove-model.ts'
import { baseUrlOf, type Context, configOf, printable, withService, writeLine } from './context.ts'
import { findToken } from './credentials.ts'
import { formatBytes } from './format.ts'

/** `models list`: the files in the models folder, and which of them are in memory where a service runs. */
export async function listModels(context: Context): Promise<number> {
  const { say, terminal, flags } = context
  const { modelsDir } = configOf(context, { serves: false })
  const client = await clientOf(context)
  // Without a service, or without the right to ask it, the list is as true, only shorter.
  const served = await client.models().then(
    ({ models }) => new Map(models.map((model) => [model.name, model])),
    () => new Map<string, ServedModel>(),
  )
  const { list, describe } = createModelRegistry(modelsDir)
  const found = await Promise.allSettled((await list()).map(describe))
  // What is no model of this folder after all, a link that leads out of it for example, spoils no list.
  const models = found.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  if (flags.has('json')) {
    const rows = models.map(({ name, sizeBytes }) => {
      const { loaded = false, selected = false } = served.get(name) ?? {}
      return { name, size_bytes: sizeBytes, loaded, selected }
    })
    writeLine(terminal.output, JSON.stringify(rows, null, 2))
    return 0
  }
  if (models.length === 0) writeLine(terminal.notes, say('noModels', { folder: modelsDir }))
  for (const { name, sizeBytes } of models) {
    const { loaded = false, selected = false } = served.get(name) ?? {}
    const state = selected ? [say('inUse')] : loaded ? [say('inMemory')] : []
    const columns = [printable(name), formatBytes(sizeBytes), ...state]
    writeLine(terminal.output, columns.join('\t'))
  }
  return 0
}

/** `models load NAME` and `models unload NAME`: brings a model of the running service into memory, or takes it out. */
export async function changeLoaded(context: Context, change: 'load' | 'unload'): Promise<number> {
  const { words, say, terminal } = context
  const [given = ''] = words
  const { models } = await withService(context, (client) => client.changeLoaded(given, change))
  const message = change === 'load' ? 'modelLoaded' : 'modelUnloaded'
  for (const { name } of models) writeLine(terminal.notes, say(message, { name: printable(name) }))
  return 0
}

/** `models show NAME`: what the models folder tells of a model, by any of its names. */
export async function showModel(context: Context): Promise<number> {
  const { words, terminal, flags } = context
  const [given = ''] = words
  const { find, describe } = createModelRegistry(configOf(context, { serves: false }).modelsDir)
  const rows = toRows(await describe((await find(given)).name))
  if (flags.has('json')) writeLine(terminal.output, JSON.stringify(rows, null, 2))
  else for (const [field, value] of Object.entries(rows)) writeLine(terminal.output, `${field}\t${printable(String(value))}`)
  return 0
}

function toRows({ name, files, sizeBytes, origin }: ModelDetails) {
  const from = origin === undefined ? {} : { from: `hf:${origin.repository}/${origin.path}`, commit: origin.commit }
  return { name, size_bytes: sizeBytes, files, ...from }
}

/** `models remove NAME`: by the service where one runs, as it knows which model is in use. */
export async function removeInstalled(context: Context): Promise<number> {
  const { words, say, terminal } = context
  const [given = ''] = words
  const isServed = await (await clientOf(context)).health().then(
    () => true,
    () => false,
  )
  const name = isServed
    ? await withService(context, async (client) => (await client.removeModel(given)).name)
    : await removeHere(context, given)
  writeLine(terminal.notes, say('modelRemoved', { name: printable(name) }))
  return 0
}

function removeHere(context: Context, name: string): Promise<string> {
  const { modelsDir } = configOf(context, { serves: false })
  const { describe } = createModelRegistry(modelsDir)
  return removeModel({ modelsDir, describe, isInUse: () => false, now: Date.now, wait: (ms) => setTimeout(ms) }, name)
}

async function clientOf(context: Context): Promise<Client> {
  const baseUrl = baseUrlOf(context)
  return createClient({ baseUrl, token: await findToken(context, baseUrl), fetch: context.fetch })
}
