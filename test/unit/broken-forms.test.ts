import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

let server: TestServer
let authorization: string
beforeAll(async () => {
  server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['a'] }) }) })
  authorization = `Bearer ${await server.login('root')}`
})
afterAll(() => server[Symbol.asyncDispose]())

const part = (head: string, body = 'text') => `--x\r\n${head}\r\n\r\n${body}\r\n`
const file = 'Content-Disposition: form-data; name="file"; filename="a.txt"'
const form = 'multipart/form-data; boundary=x'
const broken: Readonly<Record<string, readonly [contentType: string | undefined, body: string]>> = {
  'no body at all': [undefined, ''],
  'a form without a boundary': ['multipart/form-data', `${part(file)}--x--\r\n`],
  'an empty boundary': ['multipart/form-data; boundary=', `${part(file)}--x--\r\n`],
  'another boundary': ['multipart/form-data; boundary=y', `${part(file)}--x--\r\n`],
  'an empty form': [form, ''],
  'a form that is cut off in a head': [form, '--x\r\nContent-Dispos'],
  'a form that is cut off in a file': [form, part(file)],
  'a part without a name': [form, `${part('Content-Disposition: form-data')}--x--\r\n`],
  'a part without a head': [form, `${part('')}--x--\r\n`],
  'a head that is none': [form, `${part('\u0000\u0001: \u00ff')}--x--\r\n`],
  'a head without end': [form, `--x\r\n${'a'.repeat(100_000)}`],
  'a field named __proto__': [form, `${part('Content-Disposition: form-data; name="__proto__"')}--x--\r\n`],
  'JSON that says it is a form': [form, '{"name":"a","text":"b"}'],
}

describe.each(['/rag/documents', '/conversations/import', '/datasets'])('POST %s', (path) => {
  test.each(Object.entries(broken))('refuses %s', async (_name, [contentType, body]) => {
    const headers = { authorization, ...(contentType === undefined ? {} : { 'content-type': contentType }) }
    const sent = contentType === undefined ? {} : { body }
    const response = await fetch(server.url + path, { method: 'POST', headers, ...sent })
    const answer = await bodyOf(response)
    expect({ status: response.status, code: answer.error.code }).toEqual({ status: 400, code: 'invalid' })
    expect(answer.error.message).not.toBe('')
  })
})
