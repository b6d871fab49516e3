import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readSelection } from '../../src/config/selection.ts'
import type { Selected } from '../../src/engine/providers.ts'
import { openSharedSelection } from '../../src/shared-selection.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { createScriptedHost } from '../scripted-host.ts'

/** Two processes on one database: one that chooses, and one that follows and writes down what it does. */
async function openPair() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-selection-'))
  const { db, close } = await openStorage({ url: await databaseAt(join(folder, 'simpleia.db')) })
  const errors: string[] = []
  const log = { error: (_details: object, message: string) => void errors.push(message) }
  const looks: Array<() => Promise<unknown>> = []
  const instances = { hint: async () => {}, onLook: (look: () => Promise<unknown>) => void looks.push(look) }
  const open = (name: string) => openSharedSelection({ configFile: join(folder, `${name}.json`) }, { db, instances, log })
  const [chooser, follower] = [open('chooser'), open('follower')]
  onTestFinished(async () => {
    await follower.close()
    await close()
    await rm(folder, { recursive: true })
  })
  const done: string[] = []
  let selected: Selected = { provider: 'hf', model: 'first' }
  const loading: { before: () => Promise<void> } = { before: async () => {} }
  const host = {
    ...createScriptedHost(() => []),
    selected: () => ({ name: 'first', info: undefined }),
    async select(name: string) {
      await loading.before()
      done.push(`load ${name}`)
      return createScriptedHost(() => []).select(name)
    },
  }
  const select = async (provider: string, model: string | undefined) => {
    done.push(`select ${provider} ${model}`)
    selected = { provider, model }
  }
  await follower.follow({
    host,
    providers: { selected: () => selected, select },
    prepare: async ({ provider, model }) => {
      done.push('read')
      return () => select(provider, model)
    },
  })
  return {
    ...{ chooser, follower, errors, loading },
    /** What the follower does when it looks. */
    async look() {
      done.length = 0
      for (const look of looks) await look()
      return [...done]
    },
    saved: () => readSelection(join(folder, 'follower.json')),
  }
}

test('what another process chooses is loaded, chosen and written down once; one that reads its files has all read theirs', async () => {
  const { chooser, look, saved } = await openPair()
  expect(await look()).toEqual([])
  await chooser.save({ provider: 'hf', selectedModel: 'other' })
  expect(await look()).toEqual(['load other', 'select hf other'])
  expect(await saved()).toEqual({ provider: 'hf', selectedModel: 'other' })
  expect(await look()).toEqual([])
  await chooser.save({ provider: 'hf', selectedModel: 'other' })
  expect(await look()).toEqual([])
  await chooser.tellReload({ provider: 'claude', model: undefined })
  expect(await look()).toEqual(['read', 'select claude undefined'])
  expect(await saved()).toEqual({ provider: 'claude', selectedModel: undefined })
  // The models of the machine are meant where nothing is said, and the one that is there already is not loaded again.
  await chooser.save({ provider: undefined, selectedModel: 'first' })
  expect(await look()).toEqual(['select hf first'])
  await chooser.save({ provider: 'hf', selectedModel: undefined })
  expect(await look()).toEqual([])
})

test('a choice that cannot be followed is told, and keeps nobody from the next one', async () => {
  const { chooser, look, loading, errors } = await openPair()
  loading.before = () => Promise.reject(new Error('cut off'))
  await chooser.save({ provider: 'hf', selectedModel: 'broken' })
  expect(await look()).toEqual([])
  expect(errors).toEqual(['What another process has selected could not be followed here'])
  loading.before = async () => {}
  await chooser.save({ provider: 'hf', selectedModel: 'other' })
  expect(await look()).toEqual(['load other', 'select hf other'])
})

test('who has closed follows nothing more, not even what is being loaded', async () => {
  const { chooser, follower, look, loading, saved } = await openPair()
  loading.before = () => follower.close()
  await chooser.save({ provider: 'hf', selectedModel: 'other' })
  expect(await look()).toEqual(['load other'])
  await chooser.save({ provider: 'hf', selectedModel: 'third' })
  expect(await look()).toEqual([])
  expect(await saved()).toBeUndefined()
})
