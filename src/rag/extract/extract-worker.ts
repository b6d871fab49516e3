import { readFile } from 'node:fs/promises'
import { constants, setPriority } from 'node:os'
import { AppError } from '../../errors.ts'
import { extract } from './extract.ts'
import type { FromExtractor, ToExtractor } from './extract-protocol.ts'

// The entry point of the process that reads documents. What is in them may be made to break it.

async function run({ path, hints }: ToExtractor): Promise<FromExtractor> {
  try {
    return { type: 'extracted', document: await extract(await readFile(path), hints) }
  } catch (error) {
    if (error instanceof AppError) return { type: 'extraction-failed', code: error.code, message: error.message }
    // The parent logs what stands here; it may not quote the document.
    console.error(error instanceof Error ? (error.stack?.split('\n').slice(1, 6).join('\n') ?? error.name) : 'unknown')
    const message = 'The file is damaged, or made in a way that cannot be read.'
    return { type: 'extraction-failed', code: 'unprocessable', message }
  }
}

// Answers of the model that is being served come first.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
process.on('message', (message: ToExtractor) => void run(message).then((answer) => process.send?.(answer)))
// A library that rejects where nobody listens must not end the process: the file at hand fails or is read all the same.
process.on('unhandledRejection', () => {})
// Without its parent it has nobody to work for. The parent decides when it ends: it may be told to stop together with it.
process.on('disconnect', () => process.exit(0))
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
