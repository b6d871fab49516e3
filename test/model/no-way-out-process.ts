import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

// Inside of the network of no-way-out.test.ts: starts the service, uses what is local, then tries to get out. Says in JSON what was answered,
// and how many packets tried to leave in all.

const dataDir = await mkdtemp(join(tmpdir(), 'simpleia-no-way-out-'))
const environment = {
  ...process.env,
  LANG: 'C',
  PORT: '0',
  DATA_DIR: dataDir,
  CONFIG_FILE: join(dataDir, 'config.json'),
  MODELS_DIR: 'model_llm',
  CONTEXT_SIZE: '1024',
}
const service = spawn(process.execPath, ['src/main.ts', 'api'], { env: environment, stdio: ['ignore', 'ignore', 'pipe'] })
try {
  const url = await readAddress()
  const answered = await useWhatIsLocal(url)
  const before = await sentPackets()
  if (before > 0) throw new Error(`${before} packets left, though only what is local was used.`)
  const tried = await tryToLeave(url, await login(url))
  process.stdout.write(JSON.stringify({ answered, tried, packets: await sentPackets() }))
} finally {
  service.kill('SIGKILL')
  await once(service, 'exit')
  await rm(dataDir, { recursive: true, force: true })
}

async function readAddress(): Promise<string> {
  let said = ''
  for await (const chunk of service.stderr) {
    said += chunk
    const [, url] = /API: +(http:\/\/\S+)/.exec(said) ?? []
    if (url !== undefined) {
      service.stderr.resume()
      return url
    }
  }
  throw new Error(`The service did not start: ${said}`)
}

async function login(url: string): Promise<Record<string, string>> {
  const credentials = { username: 'ana', password: 'ana-has-a-long-password' }
  await post(`${url}/auth/register`, credentials)
  const { access_token: token } = JSON.parse(await (await post(`${url}/auth/login`, credentials)).text())
  return { authorization: `Bearer ${token}` }
}

async function useWhatIsLocal(url: string): Promise<Record<string, number>> {
  while (!(await fetch(`${url}/health/ready`)).ok) await setTimeout(50)
  const user = await login(url)
  const answered: Record<string, number> = {}
  const ask = async (name: string, path: string, body: object) => {
    const response = await post(url + path, body, user)
    const text = await response.text()
    answered[name] = response.status
    if (!response.ok) process.stderr.write(`${path}: ${text}\n`)
    return text
  }
  const short = { max_length: 8, temperature: 0 }
  const { id } = JSON.parse(await ask('predict', '/predict', { prompt: 'The sea is', ...short }))
  await ask('stream', '/predict', { prompt: 'The sky is', ...short, stream: true })
  await ask('chat', '/v1/chat/completions', { messages: [{ role: 'user', content: 'Hello' }], max_tokens: 8 })
  await ask('encode', '/embed/encode', { texts: ['a lighthouse'] })
  await ask('add', '/embed/add', { documents: ['The lighthouse has a red lamp.'] })
  await ask('search', '/embed/search', { query: 'lamp', k: 1 })
  await ask('document', '/rag/documents', { name: 'harbour.md', text: '# Harbour\n\nThe harbour was built in 1912.' })
  await ask('question', '/rag/query', { question: 'When was the harbour built?' })
  await ask('feedback', '/feedback', { prediction_id: id, rating: 'up' })
  answered.health = (await fetch(`${url}/health`)).status
  return answered
}

/** Each try is given up as soon as something has left; where nothing may, each is refused at once. */
async function tryToLeave(url: string, user: Record<string, string>): Promise<Record<string, number>> {
  const tried: Record<string, number> = {}
  const attempts = [
    ['page', '/rag/documents', { url: 'http://93.184.216.34/' }],
    ['named', '/rag/documents', { url: 'http://example.org/' }],
    ['pull', '/models/pull', { name: 'owner/repository', stream: false }],
  ] as const
  for (const [name, path, body] of attempts) {
    const stop = new AbortController()
    const answer = post(url + path, body, user, stop.signal).then(({ status }) => status)
    const left = untilSent(stop.signal).then(() => 0)
    tried[name] = await Promise.race([answer, left])
    stop.abort()
    await answer.catch(() => undefined)
  }
  return tried
}

async function untilSent(signal: AbortSignal): Promise<void> {
  const before = await sentPackets()
  while (!signal.aborted && (await sentPackets()) === before) await setTimeout(20)
}

/** Packets that were sent into anything but the loopback. */
async function sentPackets(): Promise<number> {
  const lines = (await readFile('/proc/net/dev', 'utf8')).split('\n').slice(2)
  return lines.reduce((sum, line) => {
    const [name = '', numbers = ''] = line.split(':')
    const sent = Number(numbers.trim().split(/\s+/)[9] ?? 0)
    return name.trim() === 'lo' || Number.isNaN(sent) ? sum : sum + sent
  }, 0)
}

function post(url: string, body: object, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  })
}
