import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { ToQuantizer } from '../../src/engine/local/quantize-protocol.ts'
import { measurement, scriptedQuantizers } from '../quantizer.ts'
import { startServer } from '../server.ts'
import { createCli, scriptedHost } from './cli-world.ts'

const password = 'Secret-pass-123456'

function* writes(message: ToQuantizer) {
  if (message.type !== 'quantize-start') throw new Error('This process is to quantize.')
  yield { type: 'tensor-progress', tensor: 1, tensors: 2 } as const
  yield { type: 'quantize-end', fallbackTensors: 3 } as const
}
const measures = () => [{ type: 'measure-progress', chunk: 1, chunks: 2 } as const, { type: 'measure-end', measurement } as const]

/** A command line whose service has one model, in the same folder. */
async function createQuantizingCli(variables: Record<string, string>, ...scripts: Parameters<typeof scriptedQuantizers>) {
  const { spawn, jobs } = scriptedQuantizers(...scripts)
  const alone = await createCli(variables)
  const modelsDir = join(alone.home, 'models')
  await mkdir(modelsDir)
  await writeFile(join(modelsDir, 'big-f16.gguf'), 'GGUF')
  const server = await startServer({ host: scriptedHost([]).host, settings: { MODELS_DIR: modelsDir }, spawnQuantizer: spawn })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const run = (line: string, input?: string) => alone.run(`${line} --port ${server.port}`, input)
  await run('login ana --register', `${password}\n`)
  return { run, jobs, home: alone.home }
}

test('quantizing shows the stages and a table of both models, which can be shown again', async () => {
  const { run } = await createQuantizingCli({}, writes, measures)
  const { code, output, notes } = await run('models quantize big-f16 q8_0')
  expect(code).toBe(0)
  expect(notes).toMatch(
    /Quantizing: tensor 1 of 2\n.*Measuring both models: text 1 of 2\n.*big-q8_0 is installed.*\n.*3 of its tensors/,
  )
  expect(output).toMatch(/original +result\n/)
  expect(output).toMatch(/perplexity \(less is better\) +10\.00 ± 1\.00 +10\.00 ± 1\.00\n/)
  expect(output).toMatch(/KL divergence \(0: the same\) +0\.0100 ± 0\.0010\n.* 95\.0 %\n$/)
  expect((await run('models report big-q8_0')).output).toBe(output)
  expect(JSON.parse((await run('models report big-q8_0 --json')).output)).toMatchObject({ result: { model: 'big-q8_0' } })
})

test('the texts come from files, and the language is that of the person', async () => {
  const { run, jobs, home } = await createQuantizingCli({ LANG: 'es_ES.UTF-8' }, writes, measures)
  await writeFile(join(home, 'text.txt'), 'Un texto')
  await writeFile(join(home, 'prompts.txt'), 'Unas preguntas')
  const { output } = await run(`models quantize big-f16 IQ2_XS --text ${home}/text.txt --calibration ${home}/prompts.txt`)
  expect(jobs).toMatchObject([{ job: { calibrationText: 'Unas preguntas' } }, { job: { text: 'Un texto' } }])
  expect(output).toMatch(/perplejidad.*10,00/)
  expect(await run('models quantize big-f16 Q8_0 --text nowhere.txt')).toMatchObject({
    code: 1,
    notes: expect.stringMatching(/No se puede leer.*nowhere/),
  })
})

test('without a report nothing is measured, and what is unknown is named with what is known', async () => {
  const { run, jobs } = await createQuantizingCli({}, writes)
  expect(JSON.parse((await run('models quantize big-f16 Q8_0 --no-report --json')).output)).toMatchObject({
    model: 'big-q8_0',
    report: null,
  })
  expect(jobs).toHaveLength(1)
  expect((await run('models quantize big-f16 Q9')).notes).toMatch(/no quantization "Q9".*Q4_K_M/)
  expect(await run('models report big-f16')).toMatchObject({ code: 1, notes: expect.stringContaining('no report') })
})
