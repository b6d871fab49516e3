import selectSerializer from '@fastify/fast-json-stringify-compiler'
import { expect, test } from 'vitest'
import { createSchemaCompilers } from '../../src/http/schema-compilers.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { startServer } from '../server.ts'

const route = { method: 'POST', url: '/test' }

test('each schema of the service can be compiled', async () => {
  const { validator } = createSchemaCompilers()
  const serializer = selectSerializer()({})
  let compiled = 0
  await using server = await startServer({
    host: createScriptedHost(() => []),
    schemaCompilers: {
      validator(each) {
        const validate = validator(each)
        expect(validate({})).toBeTypeOf('boolean')
        compiled++
        return validate
      },
      // Compiles at once.
      serializer: ({ httpStatus = '', ...each }) => serializer({ ...each, httpStatus }),
    },
  })
  expect((await fetch(`${server.url}/health`)).status).toBe(200)
  expect(compiled).toBeGreaterThan(100)
})

test('a schema is compiled when it is first needed', () => {
  const { validator, serializer } = createSchemaCompilers()
  const broken = { type: 'no such type' }
  const validate = validator({ ...route, httpPart: 'body', schema: broken })
  const serialize = serializer({ ...route, httpStatus: '200', schema: broken })
  expect(() => validate({})).toThrow('schema is invalid')
  expect(() => serialize({})).toThrow('schema is invalid')
})

test('bodies are taken as they are, texts of the address are converted, also where both have one schema', () => {
  const { validator } = createSchemaCompilers()
  const schema = { type: 'object', properties: { count: { type: 'integer' }, size: { type: 'integer', default: 3 } } }
  const body = validator({ ...route, httpPart: 'body', schema })
  const query = validator({ ...route, httpPart: 'querystring', schema })
  const given = { count: '10' }
  expect(body(given)).toBe(false)
  expect(body.errors).toMatchObject([{ instancePath: '/count', keyword: 'type' }])
  expect(given).toEqual({ count: '10' })
  expect(query(given)).toBe(true)
  expect(query.errors).toBeNull()
  expect(given).toEqual({ count: 10, size: 3 })
})
