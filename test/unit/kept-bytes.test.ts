import { Readable } from 'node:stream'
import { fastify } from 'fastify'
import { expect, onTestFinished, test } from 'vitest'
import { replyWithError } from '../../src/http/error-reply.ts'
import { createKeptBytes, type DiskSpace, type KeptBytesOptions } from '../../src/usage/kept-bytes.ts'

const megabyte = 1024 ** 2

/** A route that keeps, and one beside it that does not, with a clock and a disk to turn. */
async function open(options: Partial<KeptBytesOptions> = {}) {
  const clock = { ms: Date.UTC(2026, 0, 1, 23, 0) }
  const disk: { space: DiskSpace | undefined; reads: number } = { space: { freeBytes: 1e12, totalBytes: 2e12 }, reads: 0 }
  const keep = createKeptBytes({
    bytesPerDay: megabyte,
    minFreeBytes: 100 * megabyte,
    readSpace: async () => {
      disk.reads += 1
      return disk.space
    },
    keyOf: ({ headers }) => String(headers['x-caller'] ?? 'ana'),
    now: () => clock.ms,
    ...options,
  })
  const http = fastify()
  onTestFinished(() => http.close())
  http.setErrorHandler(replyWithError)
  await http.register(
    keep([
      async (scope) => {
        scope.post('/kept', async () => 'kept')
        scope.get('/kept', async () => 'read')
        scope.delete('/kept', async () => 'deleted')
      },
    ]),
  )
  http.post('/other', async () => 'passed')
  const url = await http.listen({ host: '127.0.0.1', port: 0 })
  const send = async (bytes: number, path = '/kept', caller = 'ana') =>
    await http.inject({
      method: 'POST',
      url: path,
      payload: 'x'.repeat(bytes),
      headers: { 'content-type': 'text/plain', 'x-caller': caller },
    })
  return { http, url, clock, disk, send }
}

test('what one caller hands in to be kept is counted by the day; others, and what is not kept, are not', async () => {
  const { send, clock, http } = await open()
  expect((await send(600_000)).statusCode).toBe(200)
  const refused = await send(600_000)
  expect(refused.json()).toMatchObject({ error: { code: 'quota_exceeded', message: expect.stringContaining('1 MB') } })
  expect(refused.headers['retry-after']).toBe('3600')
  expect((await send(300_000)).statusCode).toBe(200)
  expect((await send(600_000, '/kept', 'bea')).statusCode).toBe(200)
  expect((await send(900_000, '/other')).statusCode).toBe(200)
  for (const method of ['GET', 'DELETE'] as const) expect((await http.inject({ method, url: '/kept' })).statusCode).toBe(200)
  clock.ms += 3_600_000
  expect((await send(600_000)).statusCode).toBe(200)
})

test('a body of which nobody says how long it is counts once it has come', async () => {
  const { url, send } = await open()
  const body = Readable.toWeb(Readable.from([Buffer.alloc(400_000, 'x'), Buffer.alloc(400_000, 'x')]))
  const answer = await fetch(`${url}/kept`, { method: 'POST', body, duplex: 'half', headers: { 'content-type': 'text/plain' } })
  expect(answer.status).toBe(200)
  await expect.poll(async () => (await send(500_000)).statusCode).toBe(429)
})

test('nothing more is taken once the disk has too little room, and all goes on when it has', async () => {
  const { send, disk, clock, http } = await open()
  expect((await send(10)).statusCode).toBe(200)
  disk.space = { freeBytes: 99 * megabyte, totalBytes: 1e12 }
  clock.ms += 2000
  expect((await send(10)).json()).toMatchObject({ error: { code: 'storage_full' } })
  expect((await send(10, '/other')).statusCode).toBe(200)
  for (const method of ['GET', 'DELETE'] as const) expect((await http.inject({ method, url: '/kept' })).statusCode).toBe(200)
  disk.space = { freeBytes: 101 * megabyte, totalBytes: 1e12 }
  clock.ms += 2000
  expect((await send(10)).statusCode).toBe(200)
})

test('of a small disk a twentieth is left, and a disk of which nothing is known keeps nobody out', async () => {
  const small = await open()
  small.disk.space = { freeBytes: 6 * megabyte, totalBytes: 100 * megabyte }
  expect((await small.send(10)).statusCode).toBe(200)
  small.disk.space = { freeBytes: 4 * megabyte, totalBytes: 100 * megabyte }
  small.clock.ms += 2000
  expect((await small.send(10)).statusCode).toBe(507)
  expect((await (await open({ readSpace: () => Promise.reject(new Error('no such call')) })).send(10)).statusCode).toBe(200)
  const unknown = await open()
  unknown.disk.space = undefined
  expect((await unknown.send(10)).statusCode).toBe(200)
})

test('a disk that does not answer is asked once, and keeps nobody out', async () => {
  let asked = 0
  const readSpace = () => {
    asked += 1
    return new Promise<undefined>(() => {})
  }
  const { send, clock } = await open({ readSpace })
  expect((await send(10)).statusCode).toBe(200)
  clock.ms += 3000
  expect((await send(10)).statusCode).toBe(200)
  expect(asked).toBe(1)
})

test('the disk is asked now and then, not for each request; both bounds can be switched off', async () => {
  const { send, disk, clock } = await open({ bytesPerDay: 0 })
  for (let times = 0; times < 5; times += 1) expect((await send(900_000)).statusCode).toBe(200)
  expect(disk.reads).toBe(1)
  clock.ms -= 3_600_000
  await send(10)
  expect(disk.reads).toBe(2)
  const off = await open({ minFreeBytes: 0 })
  off.disk.space = { freeBytes: 0, totalBytes: 1 }
  expect((await off.send(10)).statusCode).toBe(200)
})
