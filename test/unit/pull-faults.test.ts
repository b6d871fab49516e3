import { randomBytes } from 'node:crypto'
import { open, readFile, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { type Fault, sendRange, sha256 } from '../hub.ts'
import { content, createWorld, file, limits, repository } from './pull-world.ts'

/** The fault in the first `times` transfers of bytes, and none after that. */
function inTransfers(times: number, act: (response: ServerResponse, range: string | undefined) => void): Fault {
  let left = times
  return ({ kind, range }, response) => {
    if (kind !== 'cdn' || left === 0) return false
    left -= 1
    act(response, range)
    return true
  }
}

const always = Number.POSITIVE_INFINITY

/** As `sendRange`, but the connection ends after so many bytes. */
function cutAfter(bytes: number, response: ServerResponse, range: string | undefined): void {
  const [, from = 0, to = content.length - 1] = /(\d+)-(\d+)/.exec(range ?? '') ?? []
  const part = content.subarray(Number(from), Number(to) + 1)
  response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${content.length}`, 'content-length': part.length })
  if (bytes === 0) response.flushHeaders()
  response.write(part.subarray(0, bytes), () => response.destroy())
}

describe('a transfer ends with the right file', () => {
  test('when connections drop at any byte', async () => {
    let dropped = 0
    const fault = inTransfers(25, (response, range) => cutAfter((dropped++ * 1317) % 30_000, response, range))
    const { run, expectInstalled, types } = await createWorld({ hub: { fault } })
    await run()
    await expectInstalled()
    expect(types()).toContain('download-retry')
  })

  test('when the server ignores ranges, and when it refuses them', async () => {
    for (const status of [200, 416]) {
      const fault: Fault = ({ kind, range }, response) => {
        if (kind !== 'cdn' || range === undefined) return false
        if (status === 416) response.writeHead(416).end()
        else sendRange(content, undefined, response)
        return true
      }
      const { run, expectInstalled } = await createWorld({ hub: { fault } })
      await run()
      await expectInstalled()
    }
  })

  test('when a server that ignores ranges breaks off: it begins again', async () => {
    let whole = 0
    const fault: Fault = ({ kind, range }, response) => {
      if (kind !== 'cdn') return false
      whole += range === undefined ? 1 : 0
      response.writeHead(200, { 'content-length': content.length })
      if (whole === 3) response.end(content)
      else response.write(content.subarray(0, 100_000), () => response.destroy())
      return true
    }
    const { run, expectInstalled } = await createWorld({ hub: { fault } })
    await run()
    await expectInstalled()
  })

  test('when the address that the hub gave expires on the way', async () => {
    let uses = 0
    const fault: Fault = ({ kind }, response) => {
      uses += kind === 'cdn' ? 1 : 0
      if (kind !== 'cdn' || uses % 4 !== 0) return false
      response.writeHead(403).end('Request has expired')
      return true
    }
    const { run, expectInstalled, hub } = await createWorld({ hub: { fault } })
    await run()
    await expectInstalled()
    expect(hub.of('resolve').length).toBeGreaterThan(1)
  })

  test('when the hub is overloaded for a while, after the pause that it asks for', async () => {
    const pauses: number[] = []
    let asked = 0
    const fault: Fault = ({ kind }, response) => {
      if (kind !== 'resolve' && kind !== 'tree') return false
      asked += 1
      if (asked === 1 || asked === 3) response.writeHead(429, { 'retry-after': '7' }).end()
      else if (asked === 4) response.writeHead(503).end()
      else return false
      return true
    }
    const { run, expectInstalled } = await createWorld({ hub: { fault }, wait: async (ms) => void pauses.push(ms) })
    await run()
    await expectInstalled()
    expect(pauses).toEqual([7000, 7000, 2000])
  })

  test('when nothing more arrives, by asking again', async () => {
    const fault = inTransfers(2, (response, range) => {
      const [, from, to] = /(\d+)-(\d+)/.exec(range ?? '') ?? []
      response
        .writeHead(206, { 'content-range': `bytes ${from}-${to}/${content.length}` })
        .write(content.subarray(Number(from), Number(from) + 10))
    })
    const { run, expectInstalled } = await createWorld({ hub: { fault }, limits: { ...limits, stallMs: 150 } })
    await run()
    await expectInstalled()
  })

  test('when the part on the disk is damaged: it is thrown away, and the whole file fetched', async () => {
    const { run, modelsDir, expectInstalled, hub } = await createWorld()
    const part = join(modelsDir, `${file}.part`)
    await writeFile(part, randomBytes(content.length))
    const note = { size: content.length, digest: `sha256:${sha256(content)}`, ranges: [[0, 200_000]] }
    await writeFile(`${part}.json`, JSON.stringify(note))
    await run()
    await expectInstalled()
    expect(hub.sentBytes()).toBe(100_000 + content.length)
  })

  test('whatever the note beside a part says, when it cannot be true', async () => {
    const digest = `sha256:${sha256(content)}`
    const notes = ['', '{', '[]', { size: 5, digest, ranges: [] }, { size: content.length, digest: 'sha256:0', ranges: [[0, 9]] }]
    const impossible = [[[0, 1e9]], [[9, 3]], [[-5, 3]], [['a', 3]]].map((ranges) => ({ size: content.length, digest, ranges }))
    for (const note of [...notes, ...impossible]) {
      const { run, modelsDir, expectInstalled, hub } = await createWorld()
      await writeFile(join(modelsDir, `${file}.part`), Buffer.alloc(content.length))
      await writeFile(join(modelsDir, `${file}.part.json`), typeof note === 'string' ? note : JSON.stringify(note))
      await run()
      await expectInstalled()
      expect(hub.sentBytes()).toBe(content.length)
    }
  })
})

describe('a transfer ends in a clear error, and nothing is installed,', () => {
  const refusals: ReadonlyArray<
    readonly [what: string, act: (response: ServerResponse, range: string | undefined) => void, message: RegExp]
  > = [
    ['when the bytes are wrong', (response, range) => sendRange(Buffer.alloc(content.length), range, response), /checksum/],
    ['when connections always drop', (response) => response.destroy(), /broke off.*go on/],
    [
      'when more comes than was announced',
      (response, range) => {
        const [, from, to] = /(\d+)-(\d+)/.exec(range ?? '') ?? []
        response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${content.length}` }).end(content)
      },
      /more than the 300000 bytes/,
    ],
    [
      'when another length is announced',
      (response, range) => {
        response.writeHead(206, { 'content-range': `${/bytes=.*/.exec(range ?? '')?.[0].replace('=', ' ')}/999` }).end()
      },
      /of 300000/,
    ],
    [
      'when another range comes',
      (response) => response.writeHead(206, { 'content-range': 'bytes 5-9/300000' }).end('12345'),
      /"bytes 5-9/,
    ],
    [
      'when the bytes are compressed',
      (response, range) => {
        const packed = gzipSync(content)
        response.setHeader('content-encoding', 'gzip')
        sendRange(packed, range, response)
      },
      /compressed/,
    ],
    [
      'when a web page comes',
      (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Log in</html>'),
      /web page/,
    ],
    [
      'when less comes than was announced',
      (response) => response.writeHead(200, { 'content-length': 10 }).end('0123456789'),
      /announces 10 bytes/,
    ],
    ['when the server fails', (response) => response.writeHead(500).end(), /answered 500/],
  ]
  test.each(refusals)('%s', async (_what, act, message) => {
    const { run, expectNothing } = await createWorld({ hub: { fault: inTransfers(always, act) } })
    await expect(run()).rejects.toMatchObject({ code: 'upstream', message: expect.stringMatching(message) })
    await expectNothing()
  })

  test('wrong bytes are removed from the disk', async () => {
    const { run, files } = await createWorld({
      hub: { fault: inTransfers(always, (response, range) => sendRange(Buffer.alloc(300_000), range, response)) },
    })
    await expect(run()).rejects.toThrow('The download was removed')
    expect(await files()).toEqual([])
  })

  const hubFaults: ReadonlyArray<readonly [status: number, headers: Record<string, string>, code: string, message: RegExp]> = [
    [401, {}, 'forbidden', /HF_TOKEN/],
    [401, { 'x-error-code': 'RepoNotFound' }, 'forbidden', /does not exist, or is private/],
    [403, { 'x-error-code': 'GatedRepo' }, 'forbidden', /licence.*huggingface\.co\/owner\/Some-Model-GGUF.*HF_TOKEN/],
    [404, {}, 'not_found', /does not exist/],
    [418, {}, 'upstream', /418/],
    [429, { 'retry-after': '3600' }, 'rate_limited', /3600 seconds/],
  ]
  test.each(hubFaults)('when the hub answers %i %j', async (status, headers, code, message) => {
    for (const kind of ['revision', 'tree', 'resolve']) {
      const fault: Fault = (request, response) => {
        if (request.kind !== kind) return false
        response.writeHead(status, headers).end('<html>')
        return true
      }
      const { run, expectNothing } = await createWorld({ hub: { fault } })
      await expect(run(), kind).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
      await expectNothing()
    }
  })

  const lists: ReadonlyArray<readonly [what: string, body: string, code: string, message: RegExp]> = [
    ['a web page', '<!doctype html><title>Portal</title>', 'upstream', /web page.*HF_ENDPOINT/],
    ['half of the JSON', '[{"path":"a.gg', 'upstream', /no valid JSON/],
    ['something else', '{"error":"?"}', 'upstream', /something else/],
    ['no file', '[]', 'not_found', /has no GGUF file/],
  ]
  test.each(lists)('when the list of files is %s', async (_what, body, code, message) => {
    const fault: Fault = ({ kind }, response) => {
      if (kind !== 'tree') return false
      response.end(body)
      return true
    }
    const { run } = await createWorld({ hub: { fault } })
    await expect(run()).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  test('when the hub does not answer at all', async () => {
    const { run } = await createWorld({ endpoint: 'http://127.0.0.1:9' })
    await expect(run()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('127.0.0.1:9 cannot be used'),
    })
  })

  test('when the disk is full in the middle, and what is there is kept and gone on with', async () => {
    let room = 100_000
    const full = () => Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    const limited: typeof open = async (...parameters) => {
      const handle = await open(...parameters)
      const write = handle.write.bind(handle)
      const short = async (bytes: Uint8Array, from: number, length: number, position: number) => {
        if (room <= 0) throw full()
        // As a disk does: first as much as still fits, then the error.
        const result = await write(bytes, from, Math.min(length, room), position)
        room -= result.bytesWritten
        return result
      }
      return Object.assign(handle, { write: short })
    }
    const world = await createWorld({ open: limited })
    await expect(world.run()).rejects.toMatchObject({ code: 'storage_full', message: expect.stringContaining(world.modelsDir) })
    await world.expectNothing()
    const before = world.hub.sentBytes()
    room = 1e9
    await world.run()
    await world.expectInstalled()
    expect(world.hub.sentBytes() - before).toBeLessThan(content.length - 30_000)
  })

  test('when there is too little room, before anything is fetched', async () => {
    const { run, hub } = await createWorld({ freeBytes: async () => 1000 })
    await expect(run()).rejects.toMatchObject({ code: 'storage_full', message: expect.stringContaining('MODELS_DIR') })
    expect(hub.of('resolve', 'cdn')).toEqual([])
  })
})

test('a part that fails its check says so in no file of its own: the record is that of the right bytes', async () => {
  const { run, modelsDir } = await createWorld()
  await run()
  const record = await readFile(join(modelsDir, `${file}.sha256`), 'utf8')
  expect(record).toMatch(new RegExp(`^${sha256(content)} {2}${file}\n`))
  expect(record).toContain(`# from ${repository} c0ffee`)
})
