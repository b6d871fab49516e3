import { describe, expect, test } from 'vitest'
import { mostJsonLevels, refuseDeepJson } from '../../src/http/json-depth.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { startServer } from '../server.ts'

const nested = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
const message = '"messages":[{"role":"user","content":"x"}]'

/** Every way to ask, with data of the caller's own where DEEP stands; and how it tells what is wrong. */
const borders: ReadonlyArray<readonly [path: string, body: string, told: object]> = [
  ['/predict', '{"prompt":"x","json_schema":DEEP}', { error: { code: 'invalid', details: [{ field: 'json_schema' }] } }],
  [
    '/v1/chat/completions',
    `{${message},"temperature":0,"tools":[{"type":"function","function":{"name":"f","parameters":DEEP}}]}`,
    { error: { type: 'invalid_request_error', param: 'tools' } },
  ],
  ['/v1/responses', '{"input":"x","metadata":DEEP}', { error: { type: 'invalid_request_error', param: 'metadata' } }],
  [
    '/v1/messages',
    `{"model":"scripted","max_tokens":5,${message},"tools":[{"name":"f","input_schema":DEEP}]}`,
    { type: 'error', error: { type: 'invalid_request_error' } },
  ],
  [
    '/api/chat',
    `{"model":"scripted","stream":false,${message},"options":{"temperature":0},"tools":[{"function":{"name":"f","parameters":DEEP}}]}`,
    { error: expect.stringContaining('"tools" must be nested at most') },
  ],
  [
    '/v1/messages/count_tokens',
    `{"model":"scripted",${message},"cache_control":{"type":"ephemeral","x":DEEP}}`,
    { type: 'error' },
  ],
]

describe('JSON that is nested too deeply is refused before anything reads it', () => {
  test.each(borders)('%s', async (path, body, told) => {
    await using server = await startServer({ host: createScriptedHost(() => [generationEnd()]) })
    for (const levels of [mostJsonLevels, 20_000, 100_000]) {
      const response = await fetch(server.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: body.replace('DEEP', nested(levels)),
      })
      expect(response.status).toBe(400)
      expect(await response.json()).toMatchObject(told)
    }
  })

  test('on a socket, with the name of the request', async () => {
    await using server = await startServer({ host: createScriptedHost(() => [generationEnd()]) })
    using socket = await server.socket()
    socket.send({ prompt: 'x', request_id: 'a', json_schema: JSON.parse(nested(1000)) })
    const error = { code: 'invalid', details: [{ field: 'json_schema' }] }
    expect(await socket.next()).toMatchObject({ type: 'error', request_id: 'a', error })
  })

  test('and what is nested as deeply as it may is not', () => {
    expect(() => refuseDeepJson(JSON.parse(nested(mostJsonLevels)))).not.toThrow()
    expect(() => refuseDeepJson(JSON.parse(nested(mostJsonLevels + 1)))).toThrow('"a" must be nested at most')
    expect(() => refuseDeepJson(JSON.parse(`[${nested(mostJsonLevels)}]`))).toThrow('"body" must be nested at most')
    for (const body of ['x', 1, null, undefined, Buffer.from('x'), [], {}]) expect(() => refuseDeepJson(body)).not.toThrow()
  })
})
