// Something that hangs outside of the service, for slow-disk.test.ts: node slow-disk-process.ts log | threads FIFO
import { open } from 'node:fs/promises'
import { createPasswords } from '../../src/auth/passwords.ts'
import { waitForStop } from '../../src/cli/stop-signals.ts'
import { widenThreadPool } from '../../src/config.ts'
import { openLogStream } from '../../src/http/log-stream.ts'

const [what, fifo = ''] = process.argv.slice(2)

async function logOn(): Promise<void> {
  // As long as it is not told to stop.
  process.channel?.ref()
  const terminal = { input: process.stdin, output: process.stdout, notes: process.stderr }
  const stop = waitForStop({ say: () => '', terminal })
  const log = openLogStream(1)
  for (let line = 0; line < 60; line += 1) log.write(`${'x'.repeat(50_000)}\n`)
  process.send?.({ waiting: process.stdout.writableLength })
  await stop.requested
  process.disconnect()
  stop.leave(300)
}

async function logIn(): Promise<void> {
  widenThreadPool()
  // Each waits for a writer who never comes, as for a disk that does not answer.
  for (let reader = 0; reader < 8; reader += 1) open(fifo).catch(() => {})
  await createPasswords({ parameters: { memoryKib: 8, passes: 1, parallelism: 1 } }).hash('correct horse battery')
  process.send?.('hashed')
}

await (what === 'log' ? logOn() : logIn())
