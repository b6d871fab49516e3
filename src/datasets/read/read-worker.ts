import { constants, setPriority } from 'node:os'
import { AppError } from '../../errors.ts'
import { readDataset } from './read-dataset.ts'
import type { FromReader, ToReader } from './read-protocol.ts'

// The entry point of the process that reads one dataset. What is in it may be made to break it.

const send = (message: FromReader) => void process.send?.(message)

let messages: AsyncGenerator<FromReader> | undefined

async function next(): Promise<void> {
  try {
    const { value, done } = (await messages?.next()) ?? { value: undefined, done: true }
    if (!done && value !== undefined) send(value)
  } catch (error) {
    if (error instanceof AppError) return send({ type: 'read-failed', code: error.code, message: error.message })
    // The parent logs what stands here; it may not quote the file.
    console.error(error instanceof Error ? (error.stack?.split('\n').slice(1, 6).join('\n') ?? error.name) : 'unknown')
    send({ type: 'read-failed', code: 'unprocessable', message: 'The file is made in a way that cannot be read.' })
  }
}

// Answers of the model that is being served come first.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
process.on('message', (message: ToReader) => {
  if (message.type === 'read-start') messages = readDataset(message.options)
  void next()
})
// Without its parent it has nobody to work for. The parent decides when it ends: it may be told to stop together with it.
process.on('disconnect', () => process.exit(0))
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
