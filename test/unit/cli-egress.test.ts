import { access, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Context } from '../../src/cli/context.ts'
import { withEgress } from '../../src/cli/with-egress.ts'
import { loadConfig } from '../../src/config.ts'
import { createLedger } from '../../src/egress/ledger.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { databaseAt } from '../postgres/database-at.ts'

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
