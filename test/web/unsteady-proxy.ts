import { connect, createServer, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { onTestFinished } from 'vitest'

/**
 * How what the service says passes on: as it comes; one byte at a time; kept until `pass`; not at all, without a word, on the connections
 * that there are and on new ones; or `down`: nobody answers, and what was open has broken off.
 */
export type Mode = 'pass' | 'trickle' | 'hold' | 'silent' | 'down'

export type UnsteadyProxy = Readonly<{
  url: string
  set(mode: Mode): void
  /** Breaks off all connections; new ones are let in. */
  cut(): void
  /** As to another process on the same address. */
  leadTo(port: number): void
}>

/** A way to the service that is as bad as the test says. */
export async function openUnsteadyProxy(port: number): Promise<UnsteadyProxy> {
  let target = port
  let mode: Mode = 'pass'
  let resume = Promise.withResolvers<void>()
  const open = new Set<Socket>()

  async function carry(from: Socket, to: Socket): Promise<void> {
    for await (const chunk of from) {
      const bytes: Buffer = chunk
      while (mode === 'hold' || mode === 'silent') await resume.promise
      if (mode !== 'trickle') {
        to.write(bytes)
        continue
      }
      for (let at = 0; at < bytes.length; at += 1) {
        to.write(bytes.subarray(at, at + 1))
        // So that the other side reads it before the next one comes.
        await setImmediate()
      }
    }
    to.end()
  }

  const server = createServer((near) => {
    if (mode === 'down') {
      near.resetAndDestroy()
      return
    }
    const far = connect(target, '127.0.0.1')
    for (const socket of [near, far]) {
      socket.setNoDelay(true)
      open.add(socket)
      socket.on('error', () => undefined)
    }
    const end = () => {
      for (const socket of [near, far]) {
        socket.destroy()
        open.delete(socket)
      }
    }
    near.on('close', end)
    far.on('close', end)
    near.pipe(far)
    carry(far, near).catch(end)
  })

  function cut() {
    for (const socket of open) socket.resetAndDestroy()
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The proxy has no port.')
  onTestFinished(() => {
    resume.resolve()
    cut()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${address.port}`,
    set(next) {
      mode = next
      resume.resolve()
      resume = Promise.withResolvers()
      if (next === 'down') cut()
    },
    cut,
    leadTo(next) {
      target = next
    },
  }
}
