import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { aiSdk } from './ai-sdk.ts'
import { anthropic } from './anthropic.ts'
import { features } from './features.ts'
import { langchain } from './langchain.ts'
import { ollama } from './ollama.ts'
import { openai } from './openai.ts'
import { hasPython, openPythonClient, type PythonClient, type Report } from './python.ts'
import { installedName, type Outcome, renderTable, requiredName, withTable } from './table.ts'
import { type OpenWorld, openWorld } from './world.ts'

const clients = [openai, anthropic, ollama, aiSdk, langchain]
/** Packages, and their scripts in python/. */
const pythonClients = {
  openai: 'openai_client',
  anthropic: 'anthropic_client',
  ollama: 'ollama_client',
  'langchain-openai': 'langchain_client',
  litellm: 'litellm_client',
  llm: 'llm_client',
}

let world: OpenWorld
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const outcomes = new Map<string, Map<string, Outcome>>()
function note(client: string, feature: string, outcome: Outcome): void {
  outcomes.set(client, (outcomes.get(client) ?? new Map<string, Outcome>()).set(feature, outcome))
}

describe.each(clients)('$name in JavaScript', ({ name, checks }) => {
  test.each(Object.entries(checks))('%s', async (feature, check) => {
    if (typeof check === 'string') return note(name, feature, { state: 'missing', reason: check })
    note(name, feature, { state: 'failed' })
    await check(world)
    note(name, feature, { state: 'works' })
  })
})

// Where CI is set they must be there.
describe.skipIf(!hasPython && !process.env.CI)('in Python', () => {
  const opened = new Map<string, PythonClient>()
  beforeAll(() => {
    if (!hasPython) throw new Error('The clients of test/clients/requirements.txt are not installed in .cache/python.')
    for (const [name, script] of Object.entries(pythonClients)) opened.set(name, openPythonClient(script))
  })
  afterAll(() => {
    for (const client of opened.values()) client.close()
  })

  describe.each(Object.keys(pythonClients))('%s', (name) => {
    let reports: readonly Report[] = []
    beforeAll(async () => {
      reports = (await opened.get(name)?.report(world)) ?? []
    })
    test.each(Object.keys(features))('%s', (feature) => {
      const { state, detail } = reports.find((report) => report.feature === feature) ?? { state: 'failed', detail: 'no report' }
      note(`python:${name}`, feature, state === 'missing' ? { state, reason: detail } : { state })
      expect(state, detail).not.toBe('failed')
    })
  })
})

test('docs/compatibility.md has the tables that these tests make; `vitest run --project clients -u` writes them', async () => {
  const file = resolve('docs/compatibility.md')
  const columnsOf = (names: readonly string[], prefix: string, title: (name: string) => Promise<string>) =>
    Promise.all(names.map(async (name) => ({ name: await title(name), outcomes: outcomes.get(`${prefix}${name}`) ?? new Map() })))
  const javascript = clients.map(({ name }) => name)
  let document = withTable(
    await readFile(file, 'utf8'),
    'JavaScript',
    renderTable(await columnsOf(javascript, '', installedName)),
  )
  const python = Object.keys(pythonClients)
  if (hasPython) document = withTable(document, 'Python', renderTable(await columnsOf(python, 'python:', requiredName)))
  await expect(document).toMatchFileSnapshot(file)
})
