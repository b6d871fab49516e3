import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import type { Egress } from '../../src/engine/cloud/egress.ts'
import type { GenerateEvent, GenerateRequest, Provider } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { traceEgress } from '../../src/observe/observe-egress.ts'
import { tracePredict } from '../../src/observe/observe-predict.ts'
import { traceProvider } from '../../src/observe/observe-provider.ts'
import { openTelemetry } from '../../src/observe/open-telemetry.ts'
import { createOtlpExporter, type ExporterParts } from '../../src/observe/otlp-exporter.ts'
import { noTracing } from '../../src/observe/tracing.ts'
import type { OpenAnswer, Predict, PredictRequest, Target } from '../../src/predict/predict.ts'
import { followSpans, traceSettings } from '../followed-spans.ts'
import { openEgress } from '../open-egress.ts'
import { startReceiver } from '../otlp-receiver.ts'

const never = new AbortController().signal
const usage = { promptTokens: 5, completionTokens: 7, cachedPromptTokens: 2, reasoningTokens: 3 }
const timings = { queueMs: 0, promptMs: 1, firstTokenMs: 2, generationMs: 3, tokensPerSecond: 4 }
const sampling = { temperature: 0.5, topP: 0.9, topK: 40, minP: 0, repeatPenalty: 1, seed: undefined }
const request: GenerateRequest = {
  ...{ model: 'big', maxTokens: 9, choices: 2, stop: [], user: 'u', sampling: { ...sampling, given: ['topK'] } },
  format: { type: 'json-object' },
  prompt: {
    type: 'chat',
    messages: [
      { role: 'user', content: 'Is it cold?' },
      { role: 'assistant', content: '', toolCalls: [{ id: 'c1', name: 'weather', arguments: '{}' }] },
      { role: 'tool', content: '3 °C', toolCallId: 'c1' },
      { role: 'assistant', content: 'Yes,' },
    ],
  },
}

const events: readonly GenerateEvent[] = [
  { type: 'text-delta', index: 0, text: 'it ' },
  { type: 'text-delta', index: 1, text: 'very' },
  { type: 'tool-call-start', index: 1, call: 0, id: 'c2', name: 'weather' },
  { type: 'choice-end', index: 1, reason: 'tool-calls' },
  { type: 'text-delta', index: 0, text: 'is.' },
  { type: 'generation-end', usage, timings },
]

function providerOf(name: string): Provider {
  return {
    ...{ name, ranOn: 'cloud', countTokens: async () => 0, close: async () => {} },
    choose: async () => ({ name: 'big', identity: 'big' }),
    async *generate() {
      yield* events
    },
  }
}

async function readAll<T>(given: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = []
  for await (const one of given) all.push(one)
  return all
}

test.each([
  ['claude', 'anthropic'],
  ['my-vllm', 'my-vllm'],
])('an answer of %s tells in the words of the conventions what was asked and given', async (name, told) => {
  const { tracing, spans } = followSpans({ capturesContent: true })
  expect(await readAll(traceProvider(providerOf(name), tracing).generate(request, never))).toEqual(events)
  const answer = (await spans()).find((span) => span.name === 'chat big')
  expect(answer?.events).toEqual(['gen_ai.tool.call'])
  expect(answer?.attributes).toMatchObject({
    ...{
      'gen_ai.provider.name': told,
      'gen_ai.request.top_k': 40,
      'gen_ai.request.choice.count': 2,
      'gen_ai.output.type': 'json',
    },
    ...{ 'gen_ai.usage.reasoning.output_tokens': 3, 'gen_ai.response.finish_reasons': ['tool_call'] },
  })
  for (const unset of ['gen_ai.request.temperature', 'gen_ai.system_instructions'])
    expect(answer?.attributes).not.toHaveProperty(unset)
  expect(JSON.parse(String(answer?.attributes['gen_ai.input.messages']))).toEqual([
    { role: 'user', parts: [{ type: 'text', content: 'Is it cold?' }] },
    { role: 'assistant', parts: [{ type: 'tool_call', id: 'c1', name: 'weather', arguments: '{}' }] },
    { role: 'tool', parts: [{ type: 'tool_call_response', id: 'c1', result: '3 °C' }] },
    { role: 'assistant', parts: [{ type: 'text', content: 'Yes,' }] },
  ])
  expect(JSON.parse(String(answer?.attributes['gen_ai.output.messages']))).toEqual([
    { role: 'assistant', parts: [{ type: 'text', content: 'it is.' }] },
    { role: 'assistant', parts: [{ type: 'text', content: 'very' }], finish_reason: 'tool_call' },
  ])
})

test('a text to go on with is told as what a user says, and all sampling where nothing says what was chosen', async () => {
  const { tracing, spans } = followSpans({ capturesContent: true })
  const given = { ...request, sampling, prompt: { type: 'text', text: 'Once' } } as const
  await readAll(traceProvider(providerOf('local'), tracing).generate(given, never))
  const { attributes } = (await spans()).find((span) => span.name === 'text_completion big') ?? expect.unreachable('no span')
  expect(attributes).toMatchObject({ 'gen_ai.request.temperature': 0.5, 'gen_ai.request.top_p': 0.9 })
  expect(JSON.parse(String(attributes['gen_ai.input.messages']))).toEqual([
    { role: 'user', parts: [{ type: 'text', content: 'Once' }] },
  ])
})

const target: Target = {
  ...{ provider: 'claude', model: 'big', ranOn: 'cloud', why: 'fallback' },
  passedBy: [{ provider: 'openai', model: 'small', code: 'busy' }],
}

function predictOf(open: Predict['open']): Predict {
  const notAsked = () => Promise.reject(new Error('not asked'))
  return { open, choose: notAsked, complete: notAsked, countTokens: notAsked }
}

test('an answer that cannot begin, or that nobody reads, ends its span all the same, and tells who was passed by', async () => {
  const { tracing, spans } = followSpans()
  const asker = { key: 'k', authenticated: false, userId: undefined, keyId: undefined }
  const { model, user, ...rest } = request
  const asked: PredictRequest = { ...rest, model, provider: undefined }
  let isClosed = false
  const opened: OpenAnswer = {
    ...{ id: 'p1', target, events: (async function* () {})() },
    async [Symbol.asyncDispose]() {
      isClosed = true
    },
  }
  const whole = tracePredict(
    predictOf(async () => opened),
    tracing,
  )
  await (await whole.open(asked, asker, never))[Symbol.asyncDispose]()
  expect([isClosed, user]).toEqual([true, 'u'])
  const busy = new AppError('busy', 'Many wait.')
  const failing = tracePredict(
    predictOf(() => Promise.reject(busy)),
    tracing,
  )
  await expect(failing.open(asked, asker, never)).rejects.toBe(busy)
  expect((await spans()).map(({ attributes }) => attributes)).toMatchObject([
    { 'simpleia.why': 'fallback', 'simpleia.passed_by': ['openai: busy'], 'gen_ai.response.id': 'p1' },
    { 'error.type': 'busy' },
  ])
})

test('a request to the outside is told by its method, host and port, however it is given, and what came of it', async () => {
  const { tracing, spans } = followSpans()
  const sent: string[] = []
  const fetch: typeof globalThis.fetch = async (input, init) => {
    sent.push(new Headers(init?.headers).get('x-key') ?? '')
    return new Response('', { status: String(input).endsWith('/gone') ? 404 : 200 })
  }
  const { fetch: ask } = traceEgress(openEgress({ fetch }).egress, tracing).begin({ purpose: 'answer' })
  const headers = { 'x-key': 'k' }
  await ask('https://api.example.org/v1', { headers })
  await ask(new URL('http://api.example.org:8080/gone'), { method: 'POST', headers })
  await ask(new Request('https://api.example.org/v2', { method: 'PUT', headers }))
  expect(sent).toEqual(['k', 'k', 'k'])
  expect((await spans()).map(({ name, attributes }) => ({ name, ...attributes }))).toMatchObject([
    { name: 'GET', 'server.address': 'api.example.org', 'server.port': 443, 'http.response.status_code': 200 },
    { name: 'POST', 'server.port': 8080, 'http.response.status_code': 404, 'error.type': '404' },
    { name: 'PUT', 'server.port': 443, 'http.response.status_code': 200 },
  ])
})

test('what another service says of its trace goes on to the next, but for what is no trace or too long', async () => {
  const { tracing } = followSpans({ sampler: 'parentbased_always_off' })
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const long = Array.from({ length: 30 }, (_, at) => `vendor${at}=${'x'.repeat(20)}`).join(',')
  const headersFor = (carrier: Readonly<Record<string, string | readonly string[]>>) => {
    const span = tracing.startFrom(carrier, 'next')
    span.end()
    return span.headers()
  }
  const going = headersFor({ traceparent, tracestate: 'vendor=1' })
  expect(going).toMatchObject({
    traceparent: expect.stringContaining('4bf92f3577b34da6a3ce929d0e0e4736'),
    tracestate: 'vendor=1',
  })
  for (const tracestate of [[], long]) expect(headersFor({ traceparent, tracestate })).not.toHaveProperty('tracestate')
  // Nobody asks to be followed, so nothing is.
  for (const wrong of [[traceparent], 'no']) expect(headersFor({ traceparent: wrong }).traceparent).toMatch(/-00$/)
  await tracing.close()
})

test('where nothing is followed, work runs and nobody is told of it', async () => {
  const { start, startFrom, ids, close } = noTracing
  for (const span of [start('a'), startFrom({}, 'b')]) {
    span.event('c', {})
    expect([span.within(() => ids()), span.headers()]).toEqual([undefined, {}])
  }
  expect(await close()).toBeUndefined()
})

/** A certificate for an address that leads to this machine, but is no loopback address by its writing; trusted until the test ends. */
async function certify() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-tls-'))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const subject = ['-subj', '/CN=collector', '-addext', 'subjectAltName=IP:0.0.0.0']
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  const certificate = { key: await readFile(key), cert: await readFile(cert) }
  const trusted = getCACertificates('default')
  setDefaultCACertificates([...trusted, certificate.cert.toString()])
  onTestFinished(async () => {
    setDefaultCACertificates(trusted)
    await rm(folder, { recursive: true })
  })
  return certificate
}

const partsOf = (egress: Egress, more: Partial<ExporterParts> = {}): ExporterParts => {
  return { egress, onSent() {}, onFailure() {}, now: Date.now, ...more }
}

test.runIf(process.platform === 'linux')('each hour of what is sent over TLS is one errand, with its bytes', async () => {
  await using receiver = await startReceiver(200, await certify())
  const { egress, entries } = openEgress()
  const settings = { ...traceSettings, endpoint: `https://0.0.0.0:${receiver.port}` }
  let nowMs = 0
  const sent: string[] = []
  const exporter = createOtlpExporter(settings, partsOf(egress, { onSent: (outcome) => sent.push(outcome), now: () => nowMs }))
  const tracing = openTelemetry(settings, {
    ...exporter,
    // Each span by itself, an hour after the one before.
    export(spans, done) {
      nowMs += 3_600_000
      exporter.export(spans.slice(0, 1), () => exporter.export(spans.slice(1, 2), done))
      nowMs += 3_600_000
    },
  })
  for (const name of ['one', 'two']) tracing.start(name).end()
  await tracing.close()
  expect(receiver.spans().map(({ name }) => name)).toEqual(['one', 'two'])
  expect(sent).toEqual(['ok', 'ok'])
  for (const entry of entries())
    expect(entry).toMatchObject({ purpose: 'telemetry', requests: 1, durationMs: expect.any(Number) })
  expect(entries()).toHaveLength(2)
  const bytesOut = entries().reduce((sum, entry) => sum + entry.bytesOut, 0)
  expect(bytesOut).toBeGreaterThan(receiver.text().length)
})

test('what may not go out is counted as failed, told once, and keeps the service from nothing, not even its end', async () => {
  const { egress } = openEgress({ localOnly: true })
  const told: unknown[] = []
  const sent: string[] = []
  const settings = { ...traceSettings, endpoint: 'https://collector.example' }
  const exporter = createOtlpExporter(
    settings,
    partsOf(egress, { onSent: (outcome) => sent.push(outcome), onFailure: (error) => told.push(error) }),
  )
  const tracing = openTelemetry(settings, {
    export: (spans, done) => exporter.export(spans, () => exporter.export(spans, done)),
    shutdown: () => Promise.reject(new Error('stuck')),
  })
  tracing.start('one').end()
  await tracing.close()
  expect(sent).toEqual(['failed', 'failed'])
  expect(told).toMatchObject([{ code: 'forbidden' }])
})
