import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { AppError } from '../src/errors.ts'
import type { FromBareLoop, ToBareLoop } from './bare-loop.ts'
import type { Target } from './target.ts'

export type BareOptions = Readonly<{ file: string; threads: number }>

/** llama.cpp's own limit as one that is measured like a server. Throws `unavailable` when the model does not load. */
export async function openBareLoop({ file, threads }: BareOptions): Promise<Target & { close(): Promise<void> }> {
  const child = fork(fileURLToPath(new URL('./bare-loop.ts', import.meta.url)), [file, String(threads)], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const ended = once(child, 'exit').then(() => undefined)
  const answers = async (): Promise<FromBareLoop> => {
    const received = new Promise<FromBareLoop>((resolve) => child.once('message', (message: FromBareLoop) => resolve(message)))
    const message = await Promise.race([received, ended])
    if (message !== undefined) return message
    throw new AppError('unavailable', 'The process of the bare loop has ended.')
  }
  await answers()
  return {
    name: 'bare',
    server: undefined,
    generate(asks) {
      child.send(asks satisfies ToBareLoop)
      return answers()
    },
    async close() {
      child.kill()
      await ended
    },
  }
}
