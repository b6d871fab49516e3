import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { openHost } from '../../src/service.ts'
import { ggufBytes } from '../gguf-bytes.ts'

const whole = ggufBytes({ metadata: { 'general.architecture': 'llama' }, tensors: [{ name: 'a', shape: [8], bytes: 32 }] })

async function openWith(files: Readonly<Record<string, Buffer>>, environment: Readonly<Record<string, string>> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-models-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes)
  const said: string[] = []
  const spy = vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0)
  onTestFinished(() => spy.mockRestore())
  const config = loadConfig({ environment: { MODELS_DIR: folder, DATA_DIR: folder, ...environment } })
  const host = await openHost(config, config.defaultModel)
  onTestFinished(() => host.close())
  await expect.poll(() => host.status().state).not.toBe('loading')
  return { host, said }
}

test('a file that is cut off, where there is nothing else, is the reason why nothing answers, and the log names it', async () => {
  const { host, said } = await openWith({ 'half.gguf': whole.subarray(0, -1) })
  expect(host.status()).toMatchObject({ state: 'failed', reason: expect.stringContaining('it is cut off') })
  expect(said).toEqual([expect.stringMatching(/^The model "half" cannot be used: .*it is cut off/)])
})

test('without any file there is no model, and nothing is wrong', async () => {
  const { host, said } = await openWith({})
  expect(host.status()).toMatchObject({ state: 'empty' })
  expect(said).toEqual([])
})
