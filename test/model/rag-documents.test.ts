import { afterAll, expect, test } from 'vitest'
import { spawnEmbedder } from '../../src/engine/local/embed-process.ts'
import { createServedEmbedModel, toEmbedder } from '../../src/engine/local/served-embed-model.ts'
import { createCatalog } from '../../src/models/catalog.ts'
import { createEmbedModels } from '../../src/models/embed-models.ts'
import { embeddingModel } from '../../src/models/embedding-model.ts'
import { readModelKind } from '../../src/models/model-kind.ts'
import { createModelRegistry } from '../../src/models/registry.ts'
import { extract } from '../../src/rag/extract/extract.ts'
import { splitText } from '../../src/rag/split-text.ts'
import { tenOfEach } from '../ten-documents.ts'

// Ten documents of each format, cut with the tokenizer of all-MiniLM-L6-v2 and found by its vectors.

const never = new AbortController().signal
const registry = createModelRegistry('model_llm')
const aliases = new Map()
const catalog = createCatalog({ registry, readFacts: readModelKind, aliases, estimateBytes: () => 0 })
const { describe } = createEmbedModels({ modelsDir: 'model_llm', registry, catalog, aliases, threads: 2 })
const served = createServedEmbedModel({
  spawn: () => spawnEmbedder(() => {}),
  findModel: () => describe(embeddingModel),
  maxWaiting: 8,
})
const embedder = toEmbedder(embeddingModel, served)
afterAll(() => served.close())

for (const [format, documents] of Object.entries(tenOfEach)) {
  test(`${format}: every chunk fits into the window, and the question about the fact finds its page and section`, async () => {
    const windowTokens = (await embedder.maxTokens()) - 10
    for (const { name, bytes, fact, page, section } of documents) {
      const extracted = await extract(bytes, { name })
      const chunks = await splitText(extracted, { chunkTokens: 100, windowTokens }, (texts) => embedder.countTokens(texts, never))
      const texts = chunks.map(({ text }) => text)
      expect(Math.max(...(await embedder.countTokens(texts, never))), name).toBeLessThanOrEqual(100)
      const { vectors } = await embedder.encode({ texts, truncate: false }, never)
      const question = `How tall is the lighthouse of ${/(?:of|Harbour:) ([^ ;]+)/.exec(fact)?.[1]} in metres?`
      const [query = new Float32Array()] = (await embedder.encode({ texts: [question], truncate: false }, never)).vectors
      const scores = vectors.map((vector) => vector.reduce((sum, value, index) => sum + value * (query[index] ?? 0), 0))
      const best = chunks[scores.indexOf(Math.max(...scores))]
      expect(best?.text.replace(/\s+/g, ' '), name).toContain(fact)
      expect([best?.page, best?.lastPage], name).toContain(page)
      if (section !== undefined) expect(best?.section?.endsWith(section), `${name}: ${best?.section}`).toBe(true)
    }
  })
}
