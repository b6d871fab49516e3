import { cp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { expect, test } from 'vitest'
import type { Context } from '../../src/cli/context.ts'
import { speak } from '../../src/cli/messages.ts'
import { prepareEmbeddingModel } from '../../src/cli/prepare.ts'
import { loadConfig } from '../../src/config.ts'
import { defaultHubFile } from '../../src/models/setup.ts'
import { ggufBytes } from '../gguf-bytes.ts'
import { sendRange, startHub } from '../hub.ts'
import { spanish } from './cli-scripted.ts'
import { createCli } from './cli-world.ts'

test('a checkpoint that is pulled, or lies in a folder, becomes a model; a name that is taken or none is refused', async () => {
  const source = 'test/fixtures/convert/llama3'
  const files: Record<string, Buffer> = {}
  for (const name of await readdir(source)) if (name !== 'reference.json') files[name] = await readFile(join(source, name))
  const hub = await startHub({ repositories: { 'owner/tiny': files }, small: (path) => !path.endsWith('.safetensors') })
  const { run, home } = await createCli({ PORT: '9', HF_ENDPOINT: hub.endpoint, ...spanish }, { isPerson: true })
  const pulled = await run('models pull owner/tiny')
  expect(pulled.notes).toMatch(/tensor 35 de 35\n/)
  expect((await run('models show tiny')).output).toMatch(
    /^name\ttiny\nsize_bytes\t\d+\n.*\nfrom\thf:owner\/tiny\/model\.safetensors\n/,
  )

  await cp(source, join(home, 'mine'), { recursive: true })
  const both = await Promise.all([run(`models convert ${home}/mine`), run(`models convert ${home}/mine`)])
  const [first, second] = both.toSorted((one, other) => one.code - other.code)
  expect(first).toMatchObject({ code: 0, notes: expect.stringMatching(/tensor .*mine/s) })
  expect(second).toMatchObject({
    code: 1,
    notes: expect.stringMatching(/\(en inglés\): (?:There is a model "mine" already|A model called "mine" is being)/),
  })
  expect((await run('models show mine')).output).not.toContain('from')
  expect((await run('models list')).output).toMatch(/^mine\t.*\ntiny\t/)
  for (const [line, words] of [
    [`models convert ${home}/mine`, /\(en inglés\): There is a model "mine" already\. Choose another name/],
    [`models convert ${home}/mine ../away`, /The name must be one that a model may have, but is "\.\.\/away"/],
    [`models convert ${home}/nothing`, /no config\.json/],
  ] as const)
    expect([line, await run(line)]).toEqual([line, expect.objectContaining({ code: 1, notes: expect.stringMatching(words) })])
})

/** A hub that sends other bytes than its record tells, and breaks off first. */
async function startWrongHub(content: Buffer) {
  let transfers = 0
  return startHub({
    repositories: { [defaultHubFile.repository]: { [defaultHubFile.path]: content } },
    sendsFiles: true,
    fault(request, response) {
      if (request.kind !== 'resolve') return false
      transfers += 1
      if (transfers === 1) response.destroy()
      else sendRange(Buffer.alloc(content.length, 'x'), request.range, response)
      return true
    },
  })
}

test('a hub that sends something else is told in the language of the person, after another try', async () => {
  const content = ggufBytes({ metadata: { 'general.architecture': 'qwen3' }, tensors: [] })
  const hub = await startWrongHub(content)
  const { run } = await createCli({ HF_ENDPOINT: hub.endpoint, ...spanish })
  const { code, notes } = await run('setup')
  expect(code).toBe(1)
  expect(notes).toMatch(/\nEl servicio dice \(en inglés\): .*checksum/)
})

test('a stop ends the set-up of the embedding model; it is not told as one that cannot be had', async () => {
  const { environment } = await createCli({ HF_ENDPOINT: 'http://127.0.0.1:9' })
  const notes = new PassThrough()
  const context: Context = {
    ...{ words: [], flags: new Set<string>(), values: new Map<string, string>(), settings: {}, environment, envFile: undefined },
    ...{ language: 'en', say: speak('en'), fetch: globalThis.fetch, version: '1.2.3' },
    terminal: { input: Readable.from([]), output: new PassThrough(), notes },
  }
  const setUp = (signal: AbortSignal) => prepareEmbeddingModel(context, loadConfig({ environment }), signal)
  await expect(setUp(AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' })
  expect(notes.read()).toBeNull()
})
