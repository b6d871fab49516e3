import { expect, test } from 'vitest'
import { type FileKind, fileKinds, makeHostileFiles, makeWholeFiles } from '../fuzz/hostile-files.ts'
import { type Outcome, tryAll, tryFiles } from '../fuzz/try-files.ts'

// The quick part: a few files of each kind. test/fuzz/run.ts reads as many as one likes (docs/security.md has what came of it).

const seed = 20_250_701
/** Those that start a process each are fewer. */
const counts: Readonly<Record<FileKind, number>> = {
  ...{ pdf: 16, docx: 16, epub: 12, html: 20, dataset: 4, conversations: 50, snapshot: 50 },
  ...{ 'gguf-header': 80, gguf: 8, adapter: 8, safetensors: 2, tokenizer: 2, config: 2, onnx: 4 },
}
const mostMs = 15_000

test.each(fileKinds)('whatever stands in a file of the kind %s, it is read or refused with a reason, and soon', async (kind) => {
  const outcomes: Outcome[] = []
  for await (const outcome of tryFiles(kind, counts[kind], seed)) outcomes.push(outcome)
  expect(outcomes).toHaveLength(counts[kind])
  expect(outcomes.filter(({ result, ms }) => result === 'fault' || ms > mostMs)).toEqual([])
  for (const { result, message } of outcomes) if (result !== 'read') expect(message.length).toBeGreaterThan(10)
})

test.each(fileKinds)('those of the kind %s are made of files that are read', async (kind) => {
  const results: string[] = []
  for await (const { result, message } of tryAll(kind, makeWholeFiles(kind))) results.push(`${result} ${message}`)
  const refused = results.filter((result) => result !== 'read ')
  // No Parquet is read: it is there to be refused.
  expect(refused).toEqual(kind === 'dataset' ? [expect.stringMatching(/^unprocessable .*Parquet/)] : [])
})

test('the files are the same each time', async () => {
  const listed = async (kind: FileKind, count: number) => {
    const files: string[] = []
    for await (const { bytes } of makeHostileFiles(kind, count, seed)) files.push(bytes.toString('base64'))
    return files
  }
  const files = await listed('snapshot', 20)
  expect(await listed('snapshot', 20)).toEqual(files)
  expect(new Set(files).size).toBeGreaterThan(15)
})
