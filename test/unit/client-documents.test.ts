import { expect, onTestFinished, test } from 'vitest'
import { createClient } from '../../src/client.ts'
import { startServer } from '../server.ts'
import { scriptedHost } from './cli-world.ts'

test('collections, their documents and their snapshots are made, looked at, brought back and removed', async () => {
  const server = await startServer({ host: scriptedHost(['At ten [1].']).host })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const client = createClient({ baseUrl: server.url, token: await server.login('ana') })
  const added = []
  const ingest = client.addDocument({ name: 'museum.txt', text: 'The museum opens at ten.', collection: 'town' })
  for await (const message of ingest) added.push(message)
  expect(added.at(-1)).toMatchObject({ type: 'document', name: 'museum.txt' })

  const [town] = await client.collections()
  expect(await client.collection('town')).toEqual(town)
  expect(await client.collectionStats('town')).toMatchObject({ collection: { passages: 1 } })
  expect(await client.shareCollection('town', true)).toMatchObject({ name: 'town', is_shared: true })
  const [document] = (await client.documentsPage('town')).documents
  const id = document?.id ?? ''
  expect(await client.documentWithChunks(id, 0, 1)).toMatchObject({ chunks: [{ text: 'The museum opens at ten.' }] })

  const events = []
  for await (const event of client.askDocumentsStream({ question: 'When?', collection: 'town', threshold: -1 }))
    events.push(event)
  expect(events.map(({ type }) => type)).toEqual(['sources', 'text', 'done'])

  await client.saveSnapshot({ name: 'before', collection: 'town' })
  expect(await client.snapshots()).toMatchObject([{ name: 'before' }])
  await client.removeDocument(id)
  expect(await client.collectionStats('town')).toMatchObject({ collection: { passages: 0 } })
  await client.loadSnapshot('before', 'town')
  expect(await client.collectionStats('town')).toMatchObject({ collection: { passages: 1 } })
  await client.removeSnapshot('before')
  expect(await client.snapshots()).toEqual([])

  expect(await client.embeddingModels()).toEqual([])
  await expect(client.reEmbed('town', 'none')).rejects.toMatchObject({ code: 'not_found' })
  await expect(client.cancelReEmbed('town')).rejects.toMatchObject({ code: 'conflict' })
  await client.removeCollection('town')
  await expect(client.collection('town')).rejects.toMatchObject({ code: 'not_found' })
})
