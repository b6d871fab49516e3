import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { claimName } from '../../src/models/claim-name.ts'
import { copyModel } from '../../src/models/copy-model.ts'
import { installAdapter } from '../../src/models/install-adapter.ts'
import { createMerges } from '../../src/models/merge.ts'
import { createOneJob } from '../../src/models/one-job.ts'
import { createQuantizations } from '../../src/models/quantize.ts'
import { createModelRegistry } from '../../src/models/registry.ts'
import { removeModel } from '../../src/models/remove-model.ts'
import { endedPid } from '../ended-process.ts'
import { createCli } from './cli-world.ts'

const never = new AbortController().signal
const name = 'folder/new-q8_0'

/** What a process of the service can make a model called `folder/new-q8_0` by, in a folder that others share. */
async function openFolder() {
  const modelsDir = await mkdtemp(join(tmpdir(), 'simpleia-claims-'))
  onTestFinished(() => rm(modelsDir, { recursive: true }))
  await mkdir(join(modelsDir, 'folder'))
  for (const given of ['big', 'mine']) await writeFile(join(modelsDir, `${given}.gguf`), `GGUF ${given}`)
  const registry = createModelRegistry(modelsDir)
  const parts = { modelsDir, now: Date.now, wait: async () => {} }
  const file = join(modelsDir, `${name}.gguf`)
  const making = {
    ...parts,
    findModel: registry.find,
    oneJob: createOneJob(),
    share: <T>({ work }: { work: (signal: AbortSignal) => AsyncGenerator<T> }) => work,
    threads: 1,
    async *quantize({ target }: { target: string }) {
      await writeFile(target, 'GGUF made')
      yield { type: 'quantize-end', fallbackTensors: 0 } as const
    },
  }
  const quantize = async () => {
    const request = {
      model: 'big',
      quantization: 'Q8_0',
      name,
      calibrationText: undefined,
      report: false,
      text: undefined,
    } as const
    for await (const _ of createQuantizations({ ...making, async *measure() {} }).run(request, never));
  }
  const merge = async () => {
    const merges = createMerges({
      ...{ ...making, aliases: new Map(), readFacts: async () => ({ quantization: 'Q8_0' }) },
      async *merge({ target }) {
        await writeFile(target, 'GGUF merged')
        yield { type: 'merge-end' }
      },
    })
    for await (const _ of merges.run({ model: 'big+mine', quantization: undefined, name }, never));
  }
  return {
    parts,
    file,
    lock: join(modelsDir, 'new-q8_0.gguf.lock'),
    made: () => readdir(join(modelsDir, 'folder')),
    makers: {
      quantization: quantize,
      merge,
      adapter: () => installAdapter(parts, join(modelsDir, 'mine.gguf'), name),
      'second name': () => copyModel({ ...parts, registry }, 'big', name),
      conversion: async () => {
        const { run } = await createCli({ MODELS_DIR: modelsDir })
        const { code, notes } = await run(`models convert test/fixtures/convert/llama ${name}`)
        if (code !== 0) throw new AppError('conflict', notes)
      },
    },
    remove: () => removeModel({ ...parts, describe: registry.describe, isInUse: () => false }, name),
  }
}

const makers = ['quantization', 'merge', 'adapter', 'second name', 'conversion'] as const
const taken = { code: 'conflict', message: expect.stringContaining(name) }

test.each(makers)(
  'a %s into the name of a model that somebody else makes is refused, and works when that has ended',
  async (maker) => {
    const { parts, file, made, makers } = await openFolder()
    const claim = await claimName(parts, { file, name })
    await expect(makers[maker]()).rejects.toMatchObject(taken)
    expect(await made()).toEqual([])
    await claim[Symbol.asyncDispose]()
    await makers[maker]()
    expect(await made()).toContain('new-q8_0.gguf')
  },
)

test.each(makers)('a %s is refused while another container holds the name, and not for what was killed', async (maker) => {
  const { lock, made, makers } = await openFolder()
  await writeFile(lock, `1 ${randomUUID()} another-pod`)
  await expect(makers[maker]()).rejects.toMatchObject(taken)
  await writeFile(lock, `${endedPid()} ${randomUUID()} ${hostname()}`)
  await makers[maker]()
  expect(await made()).toContain('new-q8_0.gguf')
})

test('a model cannot be removed while it is measured', async () => {
  const { parts, file, makers, remove, made } = await openFolder()
  await makers.adapter()
  const claim = await claimName(parts, { file, name })
  await expect(remove()).rejects.toMatchObject(taken)
  await claim[Symbol.asyncDispose]()
  expect(await remove()).toBe(name)
  await expect(made()).rejects.toThrow('ENOENT')
})
