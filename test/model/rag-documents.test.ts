import { afterAll, expect, test } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { extract } from '../../src/rag/extract/extract.ts'
import { splitText } from '../../src/rag/split-text.ts'
import { openCatalog, openEmbedders } from '../../src/service.ts'
import { tenOfEach } from '../ten-documents.ts'

// Ten documents of each format, cut with the tokenizer of all-MiniLM-L6-v2 and found by its vectors.

const never = new AbortController().signal
const config = loadConfig({ environment: { MODELS_DIR: 'model_llm' } })
const { embedders, rerankers } = await openEmbedders(config, openCatalog(config))
const embedder = embedders.usual
afterAll(() => Promise.all([embedders.close(), rerankers.close()]))

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
