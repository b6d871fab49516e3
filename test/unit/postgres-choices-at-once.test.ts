import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import { readSelection } from '../../src/config/selection.ts'
import type { Selected } from '../../src/engine/providers.ts'
import { openSharedSelection } from '../../src/shared-selection.ts'
import { closeOpened, openToClose } from '../opened-storages.ts'
import { askServer, databaseAt } from '../postgres/database-at.ts'

afterEach(closeOpened)

/** Processes that share what is chosen, as far as each looks. */
async function openWorld() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-selection-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const url = await databaseAt(join(folder, 'service.db'))
  let count = 0

  async function openProcess() {
    count += 1
    const configFile = join(folder, `config-${count}.json`)
    const { db } = await openToClose({ url })
    const looks: Array<() => Promise<void>> = []
    const instances = { hint: async () => {}, onLook: (look: () => Promise<void>) => void looks.push(look) }
    const failures: object[] = []
    const log = { error: (details: object) => void failures.push(details) }
    const selection = openSharedSelection({ configFile }, { db, instances, log })
    const done: string[] = []
    let selected: Selected = { provider: 'cloud', model: 'first' }
    const select = (provider: string, model: string | undefined) => {
      selected = { provider, model }
      done.push(`${provider} ${model}`)
    }
    let load = async () => {}
    await selection.follow({
      host: { name: 'hf', selected: () => undefined, select: () => load() },
      providers: { selected: () => selected, select: async (provider, model) => select(provider, model) },
      prepare: async ({ provider, model }) => {
        done.push('files')
        return async () => select(provider, model)
      },
    })
    return {
      done,
      failures,
      look: async () => void (await Promise.all(looks.map((look) => look()))),
      inFile: async () => (await readSelection(configFile))?.selectedModel,
      whileLoading: (work: () => Promise<void>) => {
        load = work
      },
      /** As who chooses through this process: first that answers, then it is written down. */
      async choose(model: string, provider = 'cloud') {
        select(provider, model)
        await selection.save({ provider, selectedModel: model })
      },
      async reload(model: string) {
        done.push('files')
        select('cloud', model)
        await selection.tellReload({ provider: 'cloud', model })
      },
    }
  }
  return { url, openProcess }
}

/** Does something while the row of the selection cannot be written. */
const whileRowIsHeld = (url: string, work: (waiting: () => Promise<void>) => Promise<void>) =>
  askServer(url, async (client) => {
    await client.query("begin; select 1 from shared_state where name = 'selection' for update")
    const waiting = () =>
      expect
        .poll(async () => {
          const { rows } = await client.query(
            "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
          )
          return rows.length
        })
        .toBe(1)
    await work(waiting)
    await client.query('commit')
  })

test('who looks while a choice is being written does not go back to the one before', async () => {
  const { url, openProcess } = await openWorld()
  const process = await openProcess()
  await process.choose('second')
  let choosing = Promise.resolve()
  await whileRowIsHeld(url, async (waiting) => {
    choosing = process.choose('third')
    await waiting()
    await process.look()
  })
  await choosing
  await process.look()
  expect([process.done, await process.inFile()]).toEqual([['cloud second', 'cloud third'], 'third'])
})

test('a choice that is made while the model of another one is loaded is the one that stays', async () => {
  const { openProcess } = await openWorld()
  const [one, other] = [await openProcess(), await openProcess()]
  await one.choose('local', 'hf')
  other.whileLoading(() => other.choose('third'))
  await other.look()
  expect(other.done.at(-1)).toBe('cloud third')
  expect(await other.inFile()).toBe('third')
  await one.look()
  expect([one.done.at(-1), await one.inFile()]).toEqual(['cloud third', 'third'])
})

test('files that another process has had read again are read, whoever chooses meanwhile', async () => {
  const { openProcess } = await openWorld()
  const [one, other] = [await openProcess(), await openProcess()]
  await one.choose('second')
  await other.look()
  await one.reload('third')
  await other.choose('fourth')
  await other.look()
  await one.look()
  expect(other.done.filter((what) => what === 'files')).toHaveLength(1)
  expect(one.done.filter((what) => what === 'files')).toHaveLength(1)
  expect([one, other].map(({ done }) => done.at(-1))).toEqual(['cloud fourth', 'cloud fourth'])
})

test('a choice that could not be written leaves the others to be followed', async () => {
  const { url, openProcess } = await openWorld()
  const [one, other] = [await openProcess(), await openProcess()]
  await one.choose('second')
  await askServer(url, (client) => client.query("alter table shared_state add constraint never check (value not like '%third%')"))
  await expect(other.choose('third')).rejects.toThrow('never')
  await other.look()
  expect([other.done.at(-1), await other.inFile(), other.failures]).toEqual(['cloud second', 'second', []])
})
