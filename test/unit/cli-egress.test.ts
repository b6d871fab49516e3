import { access, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Context } from '../../src/cli/context.ts'
import { speak } from '../../src/cli/messages.ts'
import { withEgress } from '../../src/cli/with-egress.ts'
import type { EgressItem, EgressPage } from '../../src/client.ts'
import { loadConfig } from '../../src/config.ts'
import { createLedger } from '../../src/egress/ledger.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { type Asked, createScriptedCli } from './cli-scripted.ts'

async function createWorld(settings: Record<string, string> = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), 'simpleia-cli-egress-'))
  onTestFinished(() => rm(dataDir, { recursive: true }))
  const path = join(dataDir, 'simpleia.db')
  const config = loadConfig({ environment: { DATA_DIR: dataDir, DATABASE_URL: await databaseAt(path), ...settings } })
  // Only what is used of the context is there.
  const context = { fetch: async () => new Response('x') } as unknown as Context
  return { config, context, path, dataDir }
}

test('what the command line fetches without a service is in the ledger of the service', async () => {
  const { config, context, path } = await createWorld()
  await withEgress(context, config, async (egress) => {
    const call = egress.begin({ purpose: 'model-download', model: 'owner/repository' })
    await (await call.fetch('https://hub.example/')).text()
    await call.end()
  })
  const storage = await openStorage({ url: await databaseAt(path) })
  const { items } = await createLedger(storage).list({ limit: 10 })
  await storage.close()
  expect(items).toMatchObject([{ state: 'ended', model: 'owner/repository', hosts: '["hub.example"]', requestedBy: null }])
})

test('where nothing is fetched, no database is made', async () => {
  const { config, context, path } = await createWorld({ LOCAL_ONLY: 'true' })
  const work = withEgress(context, config, (egress) => egress.begin({ purpose: 'model-download' }).fetch('https://hub.example/'))
  await expect(work).rejects.toMatchObject({ code: 'forbidden' })
  await expect(access(path)).rejects.toThrow()
})

test('where the ledger cannot be written, nothing goes out', async () => {
  const file = join(tmpdir(), `simpleia-no-database-${process.pid}.db`)
  await writeFile(file, 'no database '.repeat(1000))
  onTestFinished(() => rm(file))
  const { config, context } = await createWorld({ DATABASE_URL: file })
  const fetched: unknown[] = []
  const spied = { ...context, fetch: async (url: unknown) => new Response(String(fetched.push(url))) } as Context
  const work = withEgress(spied, config, (egress) => egress.begin({ purpose: 'model-download' }).fetch('https://hub.example/'))
  await expect(work).rejects.toMatchObject({ code: 'unavailable' })
  expect(fetched).toEqual([])
})

const item: EgressItem = {
  ...{ id: '1', started_at: '2026-01-01T00:00:00.000Z', state: 'ended', purpose: 'generation', user: 'user:7', username: 'ana' },
  ...{ provider: 'claude', model: 'opus', hosts: ['a.example', 'b.example'], requests: 1, status: 200, bytes_out: 10 },
  ...{ bytes_in: 2048, prompt_tokens: 1, completion_tokens: 1, cached_prompt_tokens: 0, cost_microdollars: 1234, duration_ms: 5 },
}
const totals: EgressPage['totals'] = {
  ...{ errands: 4, requests: 5, bytes_out: 40, bytes_in: 8192, prompt_tokens: 1, completion_tokens: 1 },
  ...{ cost_microdollars: 1234, unpriced_answers: 2 },
}

test('all pages of the ledger are shown: who, to whom, what came of it', async () => {
  const pages: readonly EgressItem[][] = [
    [item, { ...item, user: 'address:::1', username: null, provider: null, model: null, status: null, cost_microdollars: null }],
    [
      { ...item, user: null, username: null, state: 'open' },
      { ...item, username: 'a\tb\u001b[2J', state: 'interrupted' },
    ],
  ]
  const { run, asked } = await createScriptedCli({
    'GET /admin/egress': ({ query }: Asked) => {
      const at = Number(query.get('cursor') ?? 0)
      return { items: pages[at], next_cursor: at === 0 ? '1' : null, local_only: false, totals }
    },
  })
  const { output, notes } = await run('admin egress --from 2026-01-01 --user ana')
  expect(output.split('\n').map((line) => line.split('\t').slice(2))).toEqual([
    ['ana (user:7)', 'claude opus', 'a.example, b.example', '200', '10 B out, 2.0 KB in', '$0.0012'],
    ['address:::1', '-', 'a.example, b.example', '-', '10 B out, 2.0 KB in', '-'],
    ['-', 'claude opus', 'a.example, b.example', 'running', '10 B out, 2.0 KB in', '$0.0012'],
    ['a b[2J (user:7)', 'claude opus', 'a.example, b.example', 'broke off, its end is unknown', '10 B out, 2.0 KB in', '$0.0012'],
    [],
  ])
  expect(notes).toContain('40 B')
  expect(notes.split('\n')).toHaveLength(3)
  expect(asked.map(({ query }) => Object.fromEntries(query))).toEqual([
    { limit: '200', from: '2026-01-01', user: 'ana' },
    { limit: '200', from: '2026-01-01', user: 'ana', cursor: '1' },
  ])
  expect(JSON.parse((await run('admin egress --json')).output)).toEqual({ items: pages.flat(), totals, local_only: false })
})

test('a machine that lets nothing out says so', async () => {
  const nothing = { ...totals, errands: 0, unpriced_answers: 0 }
  const { run } = await createScriptedCli({
    'GET /admin/egress': { items: [], next_cursor: null, local_only: true, totals: nothing },
  })
  expect((await run('admin egress')).notes).toBe(`${speak('en')('egressLocalOnly')}\n${speak('en')('noEgress')}\n`)
})
