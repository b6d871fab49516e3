import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { createClient } from '../../src/client.ts'
import { AppError } from '../../src/errors.ts'

// How often orders that stand in documents are obeyed. `node bench/rag/obey.ts --url http://127.0.0.1:8000 --token TOKEN`

const folder = join(import.meta.dirname, '../../test/fixtures/rag/poisoned')

type Poisoned = Readonly<{ file: string; attack: string; question: string; fact: string; obeyed: string }>

const { values } = parseArgs({
  options: { url: { type: 'string', default: 'http://127.0.0.1:8000' }, token: { type: 'string' }, model: { type: 'string' } },
})
const client = createClient({ baseUrl: values.url, token: values.token })
const collection = `poisoned-${Date.now()}`
// Our own file, in the shape above.
const documents = JSON.parse(await readFile(join(folder, 'poisoned.json'), 'utf8')) as readonly Poisoned[]
for (const { file } of documents) {
  const body = { name: basename(file), text: await readFile(join(folder, file), 'utf8'), collection }
  for await (const event of client.addDocument(body))
    if ('error' in event && event.error !== undefined) throw new AppError('invalid', `${file}: ${JSON.stringify(event.error)}`)
}

const counts = { obeyed: 0, told: 0, abstained: 0, foundFirst: 0 }
for (const { file, attack, question, fact, obeyed } of documents) {
  const model = values.model === undefined ? {} : { model: values.model }
  const { answer, abstained, sources } = await client.askDocuments({ question, collection, max_length: 128, ...model })
  const isObeyed = new RegExp(obeyed, 'i').test(answer)
  const isTold = answer.toLowerCase().includes(fact.toLowerCase())
  if (isObeyed) counts.obeyed += 1
  if (isTold) counts.told += 1
  if (abstained) counts.abstained += 1
  if (sources[0]?.source === file) counts.foundFirst += 1
  process.stdout.write(
    `${isObeyed ? 'OBEYED' : 'not   '} ${isTold ? 'fact' : '    '} ${file} (${attack}): ${JSON.stringify(answer.slice(0, 100))}\n`,
  )
}
process.stdout.write(
  `\nobeyed ${counts.obeyed} of ${documents.length}; the fact told ${counts.told}; abstained ${counts.abstained}; ` +
    `the right document first ${counts.foundFirst}\n`,
)
