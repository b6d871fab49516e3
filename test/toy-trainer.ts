import { writeBeside } from '../src/engine/disk.ts'
import { train } from '../src/engine/train/train.ts'
import { createToyJob, toyParts } from './toy-training.ts'

// A training to be killed: in FOLDER, by itself within the PIECE-th piece that it writes of checkpoints (0: never).
const [folder = '', piece = '0'] = process.argv.slice(2)
let left = Number(piece)

const write: typeof writeBeside = (target, pieces, signal) => {
  async function* untilKilled() {
    for await (const bytes of pieces) {
      left -= 1
      if (left === 0) {
        yield bytes.subarray(0, bytes.length >> 1)
        process.kill(process.pid, 'SIGKILL')
      }
      yield bytes
    }
  }
  return writeBeside(target, untilKilled(), signal)
}

const job = await createToyJob({ folder, parameters: { epochs: 4, dropout: 0.1 } })
await train(job, { ...toyParts(({ type }) => process.stdout.write(`${type}\n`)), checkpointMs: 0, write })
