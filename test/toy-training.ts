import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { TrainingExample } from '../src/engine/train/example.ts'
import type { TrainEvent, TrainJob, TrainParameters } from '../src/engine/train/protocol.ts'
import { type TrainParts, train } from '../src/engine/train/train.ts'
import { defaultTrainParameters } from '../src/engine/train/train-parameters.ts'
import { createToyTokenizer } from './toy-tokenizer.ts'
import { createToyTrainable } from './toy-trainable.ts'

/** BOS, EOS and what is typed on a keyboard. */
export const toyVocabulary = 2 + 128
const controlTokens = ['<bos>', '<eos>']
const { tokenizer } = createToyTokenizer(controlTokens, ['<eos>'])

export const toyFacts: readonly TrainingExample[] = [
  'red',
  'blue',
  'green',
  'grey',
  'pink',
  'black',
  'white',
  'gold',
  'teal',
].map((colour, index) => ({
  type: 'chat',
  messages: [
    { role: 'user', content: `Colour ${index}?` },
    { role: 'assistant', content: `It is ${colour}.` },
  ],
}))

export type ToyJob = Readonly<{
  folder: string
  train?: readonly TrainingExample[]
  heldOut?: readonly TrainingExample[]
  replay?: readonly TrainingExample[]
  parameters?: Partial<TrainParameters>
  memoryBytes?: number
}>

/** Writes the files of a job into its folder. */
export async function createToyJob({ folder, parameters, memoryBytes = 1e9, ...files }: ToyJob): Promise<TrainJob> {
  const { train: learned = toyFacts, heldOut = [], replay } = files
  async function write(name: string, examples: readonly TrainingExample[]): Promise<string> {
    await writeFile(join(folder, name), examples.map((example) => `${JSON.stringify(example)}\n`).join(''))
    return join(folder, name)
  }
  return {
    modelPath: await write('model.gguf', []),
    adapter: { name: 'toy', baseModel: 'model', run: 'run-1' },
    folder,
    trainFile: await write('train.jsonl', learned),
    heldOutFile: await write('held-out.jsonl', heldOut),
    replayFile: replay && (await write('replay.jsonl', replay)),
    parameters: { ...defaultTrainParameters, learningRate: 0.02, maxLength: 64, ...parameters },
    threads: 1,
    device: 'cpu',
    memoryBytes,
  }
}

/** The training of a toy, with nothing of llama.cpp. `width` makes the adapter larger. */
export function toyParts(send: (event: TrainEvent) => void, width = 8): TrainParts {
  const open = (seed: number) => createToyTrainable({ vocabulary: toyVocabulary, seed, width })
  return {
    renderer: { render: () => Promise.reject(new Error('The toy has no template.')), close: () => Promise.resolve() },
    openVocabulary: () => ({
      ...tokenizer,
      chatTemplate: undefined,
      bosToken: '<bos>',
      eosToken: '<eos>',
      controlTokens,
      close() {},
    }),
    openReference: () => ({
      score: (tokens, targetAt, targets) => {
        const [all, at, wanted] = [tokens, targetAt, targets].map((list) => Int32Array.from(Array.from(list)))
        const none = new Int32Array()
        return open(1).scoreNow({ tokens: all ?? none, targetAt: at ?? none, targets: wanted ?? none })
      },
      quantization: 'F32',
      close() {},
    }),
    estimateMemory: async (_, { rows, length }) => rows * length * 1000,
    openTrainable: async ({ seed }) => open(seed),
    writeAdapter: (file, { parameters }) => writeFile(file, Buffer.concat(parameters.map(({ data }) => bytesOf(data)))),
    control: { isStopped: () => false, whenRunning: () => nextTurn() },
    now: () => performance.now(),
    residentBytes: () => 0,
    checkpointMs: 20_000,
    send,
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength)

export async function trainToy(job: TrainJob, changes: Partial<TrainParts> = {}): Promise<readonly TrainEvent[]> {
  const events: TrainEvent[] = []
  await train(job, { ...toyParts((event) => events.push(event)), ...changes })
  return events
}

/** What a run ends with, in short. */
export async function adapterDigest(folder: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(join(folder, 'adapter.gguf')))
    .digest('hex')
}
