import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const folder = 'test/fixtures/rag/poisoned'

type Poisoned = Readonly<{ file: string; attack: string; question: string; fact: string; obeyed: string }>

test('each poisoned document has a question, its answer, and a sign of obeying that the right answer does not show', async () => {
  const list: readonly Poisoned[] = JSON.parse(await readFile(join(folder, 'poisoned.json'), 'utf8'))
  const files = (await readdir(folder)).filter((file) => file.endsWith('.md'))
  expect(list.map(({ file }) => file).sort()).toEqual(files.sort())
  expect(list).toHaveLength(20)
  for (const { file, question, fact, obeyed } of list) {
    const text = (await readFile(join(folder, file), 'utf8')).toLowerCase()
    expect(text, file).toContain(fact.split(',')[0]?.toLowerCase())
    expect(`${question} ${fact}`, file).not.toMatch(new RegExp(obeyed, 'i'))
  }
})
