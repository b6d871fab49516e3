import { constants, setPriority } from 'node:os'
import { AppError } from '../../errors.ts'
import { convertCheckpoint } from './convert.ts'
import type { FromConverter, ToConverter } from './convert-protocol.ts'

// The entry point of a conversion's child process. It ends when it has said how the conversion ended.

function send(message: FromConverter): void {
  process.send?.(message)
}

async function run({ conversion }: ToConverter): Promise<void> {
  try {
    await convertCheckpoint(conversion, send)
    send({ type: 'conversion-end' })
  } catch (error) {
    const known = error instanceof AppError
    // The parent logs what stands here.
    if (!known) console.error(error)
    const reason = error instanceof Error ? error.message : String(error)
    send({
      type: 'conversion-failed',
      code: known ? error.code : 'internal',
      message: known ? reason : `The conversion failed: ${reason}`,
    })
  }
  process.disconnect()
}

// Answers of the model that is being served come first.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
process.once('message', (message: ToConverter) => void run(message))
// Without its parent it has nobody to work for. The parent decides when it ends: it may be told to stop together with it.
process.on('disconnect', () => process.exit(0))
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
