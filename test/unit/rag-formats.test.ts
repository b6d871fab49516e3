import { expect, test } from 'vitest'
import { extract } from '../../src/rag/extract/extract.ts'
import { splitText } from '../../src/rag/split-text.ts'
import { tenOfEach } from '../ten-documents.ts'

const countWords = async (texts: readonly string[]) => texts.map((text) => text.match(/\S+/g)?.length ?? 0)
const flat = (text: string) => text.replace(/\s+/g, ' ')

for (const [format, documents] of Object.entries(tenOfEach)) {
  test(`ten ${format} documents: the fact is in one chunk, with its page and its section`, async () => {
    expect(documents).toHaveLength(10)
    for (const { name, bytes, fact, page, section } of documents) {
      const extracted = await extract(bytes, { name })
      const chunks = await splitText(extracted, { chunkTokens: 60, windowTokens: 100 }, countWords)
      expect(chunks.length, name).toBeGreaterThan(1)
      const holding = chunks.filter(({ text }) => flat(text).includes(fact))
      expect(holding, name).toHaveLength(1)
      const [found] = holding
      if (section !== undefined) expect(found?.section?.endsWith(section), `${name}: ${found?.section}`).toBe(true)
      // A fact on one page is in a chunk that begins or ends there.
      expect([found?.page, found?.lastPage], name).toContain(page)
      if (page !== undefined && found?.page !== found?.lastPage) expect(found?.text, name).toMatch(/\n/)
    }
  })
}
