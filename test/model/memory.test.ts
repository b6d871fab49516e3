import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runConversion } from '../../src/models/convert/convert-process.ts'
import { times } from '../case-count.ts'
import { engineProcesses, openRealHost } from '../real-host.ts'

const mebibyte = 1024 ** 2

async function openHost() {
  const real = await openRealHost({ CACHE_MAX_ENTRIES: '0' })
  onTestFinished(async () => {
    await real.host.close()
    await real.remove()
  })
  return real
}

/** Bytes of memory of a process. */
async function residentOf(pid: number): Promise<number> {
  return Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
}

test('a hundred loads and unloads take less than a megabyte each from this process (B32)', { timeout: 120_000 }, async () => {
  const { host, modelsDir } = await openHost()
  await runConversion(
    { folder: 'test/fixtures/convert/llama', target: join(modelsDir, 'tiny.gguf'), outputType: 'f16' },
    () => {},
  )
  const sizes: number[] = []
  for (let cycle = 0; cycle < 110; cycle += 1) {
    await host.load('tiny')
    await host.unload('tiny')
    if (cycle % 10 === 9) sizes.push(process.memoryUsage.rss())
  }
  expect(engineProcesses()).toHaveLength(1)
  const [warm = 0] = sizes
  expect(((sizes.at(-1) ?? 0) - warm) / 100 / mebibyte).toBeLessThan(1)
})

test('thousands of different prompts leave the memory of the engine as it was (B32)', { timeout: 180_000 }, async () => {
  const { host } = await openHost()
  const [pid = 0] = engineProcesses()
  const model = (await host.choose(undefined)).name
  const sampling = { temperature: 0.8, topP: 1, topK: 40, minP: 0, repeatPenalty: 1, seed: undefined }
  const ask = async (index: number) => {
    const request = { maxTokens: 2, choices: 1, sampling, stop: [], user: `${index % 7}` }
    const prompt = { type: 'text', text: `Note ${index} of ${index * 7919}: the ship` } as const
    for await (const _event of host.generate({ ...request, model, prompt }, new AbortController().signal));
  }
  const sizes: number[] = []
  for (let index = 0; index < times(2000, 600); index += 8) {
    await Promise.all(Array.from({ length: 8 }, (_, step) => ask(index + step)))
    if (index % 200 === 192) sizes.push(await residentOf(pid))
  }
  const [warm = 0] = sizes
  expect((sizes.at(-1) ?? 0) / warm).toBeLessThan(1.05)
})
