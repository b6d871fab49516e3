import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { loadConfig } from '../../src/config.ts'
import { openCatalog, openEmbedders } from '../../src/service.ts'
import { createRandom } from './data.ts'

// Writes vectors of real sentences for --data of the other measurements: node bench/vectors/sentences.ts --from FOLDER --to FILE
//   [--sentences N] [--models-dir model_llm]
// FOLDER holds Python packages; the sentences are those of the documentation in their code, without those that are there twice, in an
// order drawn by chance, so that the last ones, the queries, are like the others. They are embedded as documents are, by all-MiniLM-L6-v2.
// Where FILE holds some already, it goes on behind them.

const { values } = parseArgs({
  options: {
    from: { type: 'string' },
    to: { type: 'string' },
    sentences: { type: 'string', default: '25000' },
    'models-dir': { type: 'string', default: 'model_llm' },
  },
})
const { from: folder, to: file, sentences } = values
if (folder === undefined || file === undefined) throw new Error('Say --from FOLDER and --to FILE.')
const atOnce = 64
const never = new AbortController().signal

/** The texts between triple quotes. */
const documentation = /"""([\s\S]{40,}?)"""/g
const segmenter = new Intl.Segmenter('en', { granularity: 'sentence' })

async function readSentences(from: string): Promise<readonly string[]> {
  const found = new Set<string>()
  for (const name of (await readdir(from, { recursive: true })).filter((one) => one.endsWith('.py')).sort()) {
    const code = await readFile(join(from, name), 'utf8').catch(() => '')
    for (const [, text = ''] of code.matchAll(documentation))
      for (const paragraph of text.split(/\n\s*\n/))
        for (const { segment } of segmenter.segment(paragraph.replace(/\s+/g, ' '))) {
          const sentence = segment.trim()
          // What begins with a capital, ends with a full stop and holds words between is a sentence more often than not.
          if (/^[A-Z][a-z]* [^<>{}=|\\_]{20,300}[a-z]\.$/.test(sentence) && sentence.split(' ').length >= 6) found.add(sentence)
        }
  }
  return [...found]
}

function shuffled<T>(all: readonly T[]): readonly T[] {
  const random = createRandom(11)
  return all
    .map((one) => ({ one, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ one }) => one)
}

const all = shuffled(await readSentences(folder)).slice(0, Number(sentences))
const config = loadConfig({ environment: { MODELS_DIR: values['models-dir'] }, serves: false })
const { embedders } = await openEmbedders(config, openCatalog(config))
const bytesEach = 384 * Float32Array.BYTES_PER_ELEMENT
const written = await stat(file).then(
  ({ size }) => Math.floor(size / bytesEach),
  () => 0,
)
const output = await open(file, 'a')
try {
  await output.truncate(written * bytesEach)
  for (let from = written; from < all.length; from += atOnce) {
    const texts = all.slice(from, from + atOnce)
    const { vectors } = await embedders.usual.encode({ texts, truncate: true, purpose: 'document' }, never)
    for (const vector of vectors) await output.write(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength))
  }
  console.log(`${all.length} sentences by ${embedders.usual.name}, such as:\n${all.slice(0, 5).join('\n')}`)
} finally {
  await output.close()
  await embedders.close()
}
