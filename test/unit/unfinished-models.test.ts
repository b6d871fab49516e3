import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type QuantizeReport, toRow } from '../../src/models/quantize-report.ts'
import { createModelRegistry } from '../../src/models/registry.ts'
import { removeModel } from '../../src/models/remove-model.ts'
import { removeUnfinished } from '../../src/models/unfinished.ts'
import { endedPid } from '../ended-process.ts'
import { failAt, full } from '../failing-disk.ts'
import { measurement } from '../quantizer.ts'

/** The report of a quantization, as it is kept. */
function quantizeReportOf(model: string): QuantizeReport {
  const row = toRow(model, 4, measurement.original)
  return {
    ...{ created_at: '2026-01-01T00:00:00.000Z', importance_matrix: false, fallback_tensors: 0, original: row },
    text: { given: false, chunks: 0, scored_tokens: 0 },
    result: { ...row, kl_divergence: 0, kl_divergence_error: 0, top_agreement: 1 },
  }
}

async function openModels() {
  const modelsDir = await mkdtemp(join(tmpdir(), 'simpleia-models-'))
  onTestFinished(() => rm(modelsDir, { recursive: true }))
  return { modelsDir, files: async () => (await readdir(modelsDir, { recursive: true })).sort() }
}

test('a start removes what ended processes left of models, and nothing of one that runs or of another machine', async () => {
  const { modelsDir, files } = await openModels()
  const host = hostname().replace(/[^A-Za-z0-9_-]/g, '_')
  const ended = `${endedPid()}@${host}`
  const living = `${process.ppid}@${host}`
  await mkdir(join(modelsDir, 'folder', `.removed-${ended}.1`), { recursive: true })
  const kept = [`a.gguf.quantize-${living}.part`, 'a.gguf.part', `c.gguf.merge-7@elsewhere.part`]
  const left = [`b.gguf.quantize-${ended}.part`, `folder/d.gguf.merge-${ended}.part.part`, `e.gguf.sha256.${ended}.part`]
  const old = 'f.gguf.adapter-7@elsewhere.part'
  for (const name of [...kept, ...left, old, `folder/.removed-${ended}.1/0`]) await writeFile(join(modelsDir, name), 'GG')
  await writeFile(join(modelsDir, 'g.gguf.lock'), `${endedPid()} ${randomUUID()} ${hostname()}`)
  const longAgo = new Date(Date.now() - 25 * 3600_000)
  await utimes(join(modelsDir, old), longAgo, longAgo)
  await removeUnfinished(modelsDir, { isStart: true })
  expect(await files()).toEqual([...kept, 'folder'].sort())
})

test('a model can be removed to make room, where there is none for anything', async () => {
  const { modelsDir, files } = await openModels()
  const names = ['one-00001-of-00002.gguf', 'one-00002-of-00002.gguf']
  for (const name of names) await writeFile(join(modelsDir, name), 'GGUF')
  const { describe } = createModelRegistry(modelsDir)
  const options = { modelsDir, describe, isInUse: () => false, now: Date.now, wait: async () => {} }
  const { isMet, error } = await failAt({ folder: modelsDir, at: 1, fault: full }, () =>
    removeModel(options, 'one-00001-of-00002'),
  )
  expect({ isMet, error }).toEqual({ isMet: true, error: undefined })
  expect(await files()).toEqual([])
})

const split = ['one-00001-of-00002', 'one-00002-of-00002']

test.each([
  [
    'before its first file had gone comes back whole',
    [],
    split.map((name) => `folder/${name}.gguf`).concat('folder/one-00001-of-00002.report.json'),
  ],
  ['after its first file had gone goes on', ['first'], []],
])('a removal that was cut off %s', async (_, gone, expected) => {
  const { modelsDir, files } = await openModels()
  const aside = join(modelsDir, 'folder', `.removed-${endedPid()}.1`)
  await mkdir(join(aside, 'rest'), { recursive: true })
  const first = gone.length > 0 ? join(aside, 'first') : join(modelsDir, 'folder', `${split[0]}.gguf`)
  await writeFile(first, 'GGUF one')
  await writeFile(join(aside, 'rest', `${split[1]}.gguf`), 'GGUF two')
  await writeFile(join(aside, 'rest', `${split[0]}.report.json`), '{}')
  await removeUnfinished(modelsDir, { isStart: true })
  expect(await files()).toEqual(['folder', ...expected].sort())
})

test('a model whose removal was cut off in another process is removed with all that is its', async () => {
  const { modelsDir, files } = await openModels()
  const aside = join(modelsDir, `.removed-${endedPid()}.1`)
  await mkdir(join(aside, 'rest'), { recursive: true })
  await writeFile(join(modelsDir, `${split[0]}.gguf`), 'GGUF one')
  await writeFile(join(aside, 'rest', `${split[1]}.gguf`), 'GGUF two')
  const { describe } = createModelRegistry(modelsDir)
  const options = { modelsDir, describe, isInUse: () => false, now: Date.now, wait: async () => {} }
  expect(await removeModel(options, 'one-00001-of-00002')).toBe('one-00001-of-00002')
  expect(await files()).toEqual([])
})

test('what has lain beside no model for a month is removed, and nothing that somebody else put there', async () => {
  const { modelsDir, files } = await openModels()
  const sum = 'a'.repeat(64)
  const record = (name: string) => `${sum}  ${name}\n# size 4 modified 1700000000000\n# from owner/repo c0ffee ${name}\n`
  const report = JSON.stringify(quantizeReportOf('gone'))
  const ours = {
    'gone.gguf.sha256': record('gone.gguf'),
    'gone.report.json': report,
    'old.gguf.lock': `7 ${randomUUID()} another-pod`,
  }
  const kept = {
    'here.gguf': 'GGUF',
    'here.gguf.sha256': record('here.gguf'),
    'here.report.json': report,
    'linked.gguf.sha256': record('linked.gguf'),
    // As they come from the hub, or from other programs.
    'theirs.gguf.sha256': `${sum}  theirs.gguf\n`,
    'theirs.report.json': '{"created_at":"2026-01-01"}',
    'renamed.gguf.sha256': record('another.gguf'),
    'uv.lock': 'version = 1\n',
    'pid.lock': `${endedPid()}\n`,
    'host.lock': `${endedPid()} ${hostname()}\n`,
    'empty.lock': '',
    'mine.sha256.tmp.part': 'half',
  }
  for (const [name, text] of Object.entries({ ...ours, ...kept })) await writeFile(join(modelsDir, name), text)
  await symlink(join(modelsDir, 'on-a-disk-that-is-away.gguf'), join(modelsDir, 'linked.gguf'))
  const all = await files()
  await removeUnfinished(modelsDir, { isStart: true })
  expect(await files()).toEqual(all)
  const now = () => Date.now() + 31 * 24 * 3600_000
  await removeUnfinished(modelsDir, { isStart: false, now })
  expect(await files()).toEqual(all)
  await removeUnfinished(modelsDir, { isStart: true, now })
  expect(await files()).toEqual([...Object.keys(kept), 'linked.gguf'].sort())
})
