// Trainings of a toy, one after the other: each writes a checkpoint before every step, and its adapter in the end.
import { equal, ok } from 'node:assert/strict'
import { appendFileSync, existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeBeside } from '../../src/engine/disk.ts'
import type { TrainEvent } from '../../src/engine/train/protocol.ts'
import { train } from '../../src/engine/train/train.ts'
import { adapterDigest, createToyJob, toyParts } from '../toy-training.ts'
import { savePaths } from './save-paths.ts'

const parameters = { epochs: 8, dropout: 0.1 }

await savePaths(async ({ folder, life }) => {
  const [own, wholeFile] = [join(folder, 'run'), join(folder, 'whole')]
  const toldFile = join(own, 'told')
  if (life === 0) await writeFile(wholeFile, await trainUntouched(join(folder, 'untouched')))
  const whole = await readFile(wholeFile, 'utf8')
  /** The step of the last checkpoint that was told of. */
  const told = async () => Number((await readFile(toldFile, 'utf8').catch(() => '0')).trim().split('\n').at(-1))
  const isAdapterThere = () => existsSync(join(own, 'adapter.gguf'))

  return [
    {
      name: 'training',
      async check() {
        if (isAdapterThere()) equal(await adapterDigest(own), whole)
      },
      async save() {
        await mkdir(own, { recursive: true })
        const from = await told()
        const events: TrainEvent[] = []
        await trainToy(own, (event) => {
          events.push(event)
          if (event.type === 'train-checkpoint') appendFileSync(toldFile, `${event.step}\n`)
        })
        const [first] = events
        ok(from === 0 || (first?.type === 'train-resume' && first.step >= from), `step ${from}, and then ${first?.type}`)
        equal(await adapterDigest(own), whole, 'it has learned something else')
        await rm(own, { recursive: true })
      },
    },
  ]
})

async function trainUntouched(folder: string): Promise<string> {
  await mkdir(folder)
  await trainToy(folder, () => {})
  return adapterDigest(folder)
}

async function trainToy(folder: string, send: (event: TrainEvent) => void): Promise<void> {
  const job = await createToyJob({ folder, parameters })
  const parts = toyParts(send)
  await train(job, {
    ...parts,
    checkpointMs: 0,
    writeAdapter: async (file, adapter) => {
      await parts.writeAdapter(`${file}.bytes`, adapter)
      await writeBeside(file, toBytes(await readFile(`${file}.bytes`)))
    },
  })
}

async function* toBytes(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += 1000) yield bytes.subarray(from, from + 1000)
}
