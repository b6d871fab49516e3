import { once } from 'node:events'
import { request } from 'node:http'
import { describe, expect, onTestFinished, test } from 'vitest'
import { traceEgress } from '../../src/observe/observe-egress.ts'
import { openTelemetry } from '../../src/observe/open-telemetry.ts'
import { createOtlpExporter } from '../../src/observe/otlp-exporter.ts'
import { readTraceParent } from '../../src/observe/trace-parent.ts'
import { noTracing } from '../../src/observe/tracing.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { openEgress } from '../open-egress.ts'
import { type ReceivedSpan, readAttributes, startReceiver } from '../otlp-receiver.ts'
import { startServer } from '../server.ts'

const canary = 'canary5b1e'
const parent = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' }
const traceparent = `00-${parent.traceId}-${parent.spanId}-01`

/** A service that sends its traces to a collector, which has them all once the service has ended. */
async function createWorld(settings: Record<string, string> = {}) {
  const receiver = await startReceiver()
  const lines: string[] = []
  const server = await startServer({
    host: createFakeEngine({
      answer: (prompt) => ({
        pieces: [`${canary}-answer`, ' b', ' c'],
        end: prompt !== 'for ever',
        ...(prompt === 'die' ? { failAfter: 0 } : {}),
      }),
    }),
    settings: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, LOG_LEVEL: 'info', ...settings },
    logStream: { write: (line) => lines.push(line) },
  })
  onTestFinished(async () => {
    await server[Symbol.asyncDispose]()
    await receiver[Symbol.asyncDispose]()
  })
  return {
    ...{ receiver, server, lines },
    async traces() {
      await server.app.close({ graceMs: 0 })
      return createTree(receiver.spans())
    },
  }
}

function createTree(spans: readonly ReceivedSpan[]) {
  const get = (name: string) => spans.find((span) => span.name === name) ?? expect.unreachable(`There is no span "${name}".`)
  return {
    spans,
    get,
    attributesOf: (name: string) => readAttributes(get(name).attributes),
    /** The names of the spans from this one up to the one that has no parent here. */
    pathOf(name: string): readonly string[] {
      const path: string[] = []
      for (let span: ReceivedSpan | undefined = get(name); span !== undefined; ) {
        path.push(span.name)
        const { parentSpanId }: ReceivedSpan = span
        span = spans.find(({ spanId }) => spanId === parentSpanId)
      }
      return path
    },
  }
}

test('a request is one trace, from the caller’s own span to the token', async () => {
  const { server, traces, receiver, lines } = await createWorld({
    OTEL_SERVICE_NAME: 'my-service',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test%20one',
    OTEL_EXPORTER_OTLP_HEADERS: 'x-key=s3cret',
  })
  const prompt = `${canary}-prompt`
  await server.predict({ prompt, max_length: 9, seed: 7, temperature: 0.5, stop: [`${canary}-stop`] }, { traceparent })
  const { spans, pathOf, get, attributesOf } = await traces()
  expect(pathOf('queue')).toEqual(['queue', 'text_completion fake', 'predict', 'POST /predict'])
  for (const part of ['prompt', 'generation']) expect(pathOf(part).slice(1)).toEqual(pathOf('queue').slice(1))
  expect(get('POST /predict')).toMatchObject({ kind: 2, parentSpanId: parent.spanId })
  for (const { traceId } of spans) expect(traceId).toBe(parent.traceId)
  expect(attributesOf('POST /predict')).toMatchObject({
    'http.request.method': 'POST',
    'http.route': '/predict',
    'http.response.status_code': 200,
    'simpleia.caller': 'anonymous',
  })
  expect(attributesOf('text_completion fake')).toMatchObject({
    'gen_ai.operation.name': 'text_completion',
    'gen_ai.provider.name': 'simpleia',
    'gen_ai.request.model': 'fake',
    'gen_ai.request.max_tokens': 9,
    'gen_ai.request.seed': 7,
    'gen_ai.request.temperature': 0.5,
    'gen_ai.response.model': 'fake',
    'gen_ai.response.finish_reasons': ['stop'],
    'gen_ai.usage.input_tokens': prompt.length,
    'gen_ai.usage.output_tokens': 3,
    'gen_ai.usage.cache_read.input_tokens': 0,
    'gen_ai.response.time_to_first_chunk': expect.any(Number),
  })
  expect(attributesOf('predict')).toMatchObject({
    'simpleia.ran_on': 'local',
    'simpleia.cache.hit': false,
    'simpleia.why': 'default',
  })
  expect(spans.filter(({ status }) => status?.code === 2)).toEqual([])
  expect(receiver.text()).not.toContain(canary)
  expect(receiver.requests[0]).toMatchObject({ path: '/v1/traces', headers: { 'x-key': 's3cret' } })
  expect(receiver.resources()[0]).toMatchObject({ 'service.name': 'my-service', 'deployment.environment.name': 'test one' })
  const line = JSON.parse(lines.find((one) => one.includes('"route":"/predict"')) ?? '{}')
  expect(line).toMatchObject({ trace_id: parent.traceId, span_id: get('POST /predict').spanId, trace_flags: '01' })
})

test('streams and sockets belong to their request; a failure has its code; health and metrics are not followed', async () => {
  const { server, traces } = await createWorld()
  await server.stream({ prompt: 'x' })
  using socket = await server.socket({ headers: { traceparent } })
  socket.send({ prompt: 'x' })
  await socket.answer()
  await server.predict({ prompt: 'x', model: 'nobody' })
  await server.predict({ prompt: '' })
  expect((await server.predict({ prompt: 'die' })).status).toBe(503)
  for (const path of ['/health', '/metrics']) await fetch(server.url + path)
  await fetch(`${server.url}/nowhere/${canary}`)
  await once(request(`${server.url}/${canary}`, { method: 'PURGE' }).end(), 'response')
  const { spans } = await traces()
  const named = (name: string) => spans.filter((span) => span.name === name)
  const [stream] = named('predict').filter(({ traceId }) => traceId === named('POST /predict')[0]?.traceId)
  expect(readAttributes(stream?.attributes ?? [])).toMatchObject({ 'gen_ai.request.stream': true })
  const overSocket = named('predict').find(({ traceId }) => traceId === parent.traceId)
  expect(overSocket?.parentSpanId).toBe(named('GET /predict/ws')[0]?.spanId)
  const broken = spans.filter(({ status }) => status?.code === 2)
  // What the caller has done wrong is no failure of the request.
  expect(broken.map(({ name, attributes }) => [name, readAttributes(attributes)['error.type']])).toEqual([
    ['predict', 'not_found'],
    ...['text_completion fake', 'predict', 'POST /predict'].map((name) => [name, 'unavailable']),
  ])
  expect(spans.map(({ name }) => name).filter((name) => /health|metrics|nowhere/.test(name))).toEqual([])
  for (const name of ['GET', '_OTHER'])
    expect(named(name).map(({ attributes }) => readAttributes(attributes)['http.response.status_code'])).toEqual([404])
})

test('a question to documents shows its vectors, retrieval and reranking', async () => {
  const { server, traces, receiver } = await createWorld()
  const authorization = `Bearer ${await server.login('ana')}`
  const post = (path: string, body: object) =>
    fetch(server.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization },
      body: JSON.stringify(body),
    })
  await post('/embed/add', { documents: [{ id: 'hours', text: `${canary} opens at ten.` }] })
  const answer = await post('/rag/query', {
    question: `When does ${canary} open?`,
    rerank: 'fake-reranker',
    mode: 'vector',
    threshold: -1,
  })
  expect(answer.status).toBe(200)
  const { spans, pathOf, attributesOf } = await traces()
  expect(spans.filter(({ status }) => status?.code === 2)).toEqual([])
  expect(pathOf('rerank fake-reranker')).toEqual(['rerank fake-reranker', 'retrieval', 'rag answer', 'POST /rag/query'])
  expect(pathOf('chat fake')).toEqual(['chat fake', 'predict', 'rag answer', 'POST /rag/query'])
  expect(pathOf('embeddings fake-embedder').at(-1)).toBe('POST /embed/add')
  expect(attributesOf('retrieval')).toMatchObject({ 'gen_ai.operation.name': 'retrieval', 'simpleia.retrieval.sources': 1 })
  expect(attributesOf('embeddings fake-embedder')).toMatchObject({
    'gen_ai.operation.name': 'embeddings',
    'gen_ai.request.model': 'fake-embedder',
    'gen_ai.embeddings.dimension.count': 3,
    'simpleia.texts': 1,
  })
  expect(receiver.text()).not.toContain(canary)
})

test('prompts and answers are in traces where a setting asks for them', async () => {
  const { server, traces } = await createWorld({ OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: 'true' })
  const headers = { 'content-type': 'application/json' }
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: canary },
  ]
  await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', headers, body: JSON.stringify({ messages }) })
  const { attributesOf } = await traces()
  const told = attributesOf('chat fake')
  expect(JSON.parse(String(told['gen_ai.input.messages']))).toEqual([
    { role: 'user', parts: [{ type: 'text', content: canary }] },
  ])
  expect(JSON.parse(String(told['gen_ai.system_instructions']))).toEqual([{ type: 'text', content: 'Be brief.' }])
  expect(JSON.parse(String(told['gen_ai.output.messages']))).toEqual([
    { role: 'assistant', parts: [{ type: 'text', content: `${canary}-answer b c` }], finish_reason: 'stop' },
  ])
})

test('an answer that is left is told as one that was given up, and so are its parts', async () => {
  const { server, traces } = await createWorld()
  const gone = new AbortController()
  const response = await server.predict({ prompt: 'for ever', max_length: 500, stream: true }, { traceparent }, gone.signal)
  await response.body?.getReader().read()
  gone.abort()
  await expect.poll(async () => (await fetch(`${server.url}/metrics`)).text()).toMatch(/^simpleia_generations_active 0$/m)
  const { attributesOf } = await traces()
  for (const name of ['text_completion fake', 'predict']) expect(attributesOf(name)['error.type']).toBe('aborted')
  expect(attributesOf('POST /predict')['http.response.status_code']).toBe(499)
})

test('a body that comes late belongs to its request all the same', async () => {
  const { server, traces } = await createWorld()
  const headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked', traceparent }
  const sending = request(`${server.url}/predict`, { method: 'POST', headers })
  const answered = once(sending, 'response')
  sending.write('{"prompt":')
  // The service has the head by now.
  const active = async () => /requests_active (\d)/.exec(await (await fetch(`${server.url}/metrics`)).text())?.[1]
  await expect.poll(active).toBe('2')
  sending.end('"x"}')
  const [response] = await answered
  response.resume()
  await once(response, 'close')
  const { get, pathOf } = await traces()
  expect(pathOf('generation')).toEqual(['generation', 'text_completion fake', 'predict', 'POST /predict'])
  expect(get('predict').traceId).toBe(parent.traceId)
})

describe('which requests are followed', () => {
  const unsampled = traceparent.replace(/01$/, '00')
  test.each([
    ['always_off', '1', traceparent, 0],
    ['parentbased_always_on', '1', unsampled, 0],
    ['parentbased_traceidratio', '0', traceparent, 1],
    ['traceidratio', '0', traceparent, 0],
  ])('%s with %s: of one that says %s, %i', async (sampler, share, header, count) => {
    const { server, traces } = await createWorld({ OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: share })
    await server.predict({ prompt: 'x' }, { traceparent: header })
    const { spans } = await traces()
    expect(spans.filter(({ name }) => name === 'POST /predict')).toHaveLength(count)
  })

  test('none where it is switched off', async () => {
    const { server, traces } = await createWorld({ OTEL_SDK_DISABLED: 'true' })
    await server.predict({ prompt: 'x' })
    expect((await traces()).spans).toEqual([])
  })
})

test('a collector that is gone, or says no, disturbs no answer and is counted', async () => {
  const gone = await startReceiver()
  await gone[Symbol.asyncDispose]()
  await using refusing = await startReceiver(400)
  for (const endpoint of [gone.url, refusing.url]) {
    const lines: string[] = []
    await using server = await startServer({
      host: createFakeEngine({ answer: () => ({ pieces: ['a'] }) }),
      settings: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, LOG_LEVEL: 'warn' },
      logStream: { write: (line) => lines.push(line) },
    })
    for (let times = 0; times < 3; times += 1) expect((await server.predict({ prompt: 'x' })).status).toBe(200)
    const metrics = async () => (await fetch(`${server.url}/metrics`)).text()
    await expect.poll(metrics, { timeout: 8000 }).toMatch(/simpleia_trace_spans_total\{outcome="failed"\} [1-9]/)
    expect(lines.filter((line) => line.includes('Traces cannot be sent'))).toHaveLength(1)
    const start = performance.now()
    await server.app.close({ graceMs: 0 })
    expect(performance.now() - start).toBeLessThan(4000)
  }
})

describe('the way out', () => {
  const settings = { headers: new Map<string, string>(), endpoint: '' }
  const more = { serviceName: 's', resource: new Map<string, string>(), ratio: 1, capturesContent: false, version: '1' }
  const sampler = 'always_on' as const

  test.runIf(process.platform === 'linux')('what is sent to another host is one errand in the ledger', async () => {
    await using receiver = await startReceiver()
    const { egress, entries } = openEgress()
    // Leads to this machine, but is no loopback address by its writing.
    const endpoint = `http://0.0.0.0:${receiver.port}`
    const sent: string[] = []
    const parts = { egress, onSent: (outcome: string) => sent.push(outcome), onFailure() {}, now: Date.now }
    const tracing = openTelemetry(
      { ...settings, ...more, sampler, endpoint },
      createOtlpExporter({ ...settings, endpoint }, parts),
    )
    tracing.start('one').end()
    await tracing.close()
    expect(receiver.spans().map(({ name }) => name)).toEqual(['one'])
    expect(sent).toEqual(['ok'])
    expect(entries()).toMatchObject([{ purpose: 'telemetry', hosts: ['0.0.0.0'], requests: 1, status: 200 }])
    const [entry] = entries()
    expect(entry?.bytesOut).toBeGreaterThan(receiver.text().length)
    expect(entry?.bytesIn).toBeGreaterThan(50)
    expect(entry?.durationMs).toBeDefined()
  })

  test('LOCAL_ONLY keeps them in, but for a collector in a private network', async () => {
    const asked: string[] = []
    for (const host of ['collector.example', '203.0.113.5', '169.254.169.254', '10.0.0.5', '127.0.0.1', '[fd00::1]']) {
      const call = openEgress({ localOnly: true }).egress.begin({ purpose: 'telemetry' })
      await call.request(host).then(
        () => asked.push(host),
        (error: unknown) => expect(error).toMatchObject({ code: 'forbidden' }),
      )
    }
    expect(asked).toEqual(['10.0.0.5', '127.0.0.1', '[fd00::1]'])
    const answer = openEgress({ localOnly: true }).egress.begin({ purpose: 'answer' })
    await expect(answer.request('10.0.0.5')).rejects.toMatchObject({ code: 'forbidden' })
  })

  test('servers of one’s own network are told the trace, and nobody else', async () => {
    await using receiver = await startReceiver()
    const given = new Map<string, Headers>()
    const fetch: typeof globalThis.fetch = async (input, init) => {
      given.set(new URL(String(input)).hostname, new Headers(init?.headers))
      return new Response('{}')
    }
    const { egress } = openEgress({ fetch })
    const { url: endpoint } = receiver
    const parts = { egress, onSent() {}, onFailure() {}, now: Date.now }
    const tracing = openTelemetry(
      { ...settings, ...more, sampler, endpoint },
      createOtlpExporter({ ...settings, endpoint }, parts),
    )
    const hosts = [
      '127.0.0.1',
      '10.1.2.3',
      'vllm',
      'vllm.models.svc.cluster.local',
      'api.openai.com',
      '203.0.113.5',
      'example.org',
    ]
    for (const host of hosts) {
      const call = traceEgress(egress, tracing).begin({ purpose: 'answer', provider: 'custom' })
      await call.fetch(`http://${host}/v1/chat`, { method: 'POST', headers: { authorization: 'Bearer k' } })
      await call.end()
    }
    await tracing.close()
    const told = hosts.filter((host) => given.get(host)?.has('traceparent'))
    expect(told).toEqual(hosts.slice(0, 4))
    for (const headers of given.values()) expect(headers.get('authorization')).toBe('Bearer k')
    const { spanId, traceId } = receiver.spans()[0] ?? {}
    expect(given.get('127.0.0.1')?.get('traceparent')).toBe(`00-${traceId}-${spanId}-01`)
    expect(traceEgress(egress, noTracing)).toBe(egress)
  })
})

test('a traceparent that is not one of the W3C is ignored', () => {
  expect(readTraceParent(traceparent)).toEqual({ ...parent, flags: 1 })
  expect(readTraceParent(`${traceparent.replace(/^00/, 'cc')}-more`)).toEqual({ ...parent, flags: 1 })
  const wrong = [
    '',
    'nonsense',
    traceparent.toUpperCase(),
    traceparent.replace(/^00/, 'ff'),
    `${traceparent}-more`,
    traceparent.replace(parent.traceId, '0'.repeat(32)),
    traceparent.replace(parent.spanId, '0'.repeat(16)),
    traceparent.slice(0, -1),
    'x'.repeat(100_000),
  ]
  for (const header of wrong) expect(readTraceParent(header), header.slice(0, 80)).toBeUndefined()
})
