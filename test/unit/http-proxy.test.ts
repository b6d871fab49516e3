import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect, type SecureVersion } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { createFakeEngine } from '../fake-engine.ts'
import { freePort } from '../free-port.ts'
import { measured } from '../measured.ts'
import { startNginx } from '../nginx.ts'
import { startServer } from '../server.ts'
import { readEvents } from '../sse-parser.ts'
import { openFolder } from '../temp-folder.ts'

const hasNginx = spawnSync('nginx', ['-v']).error === undefined
if (!hasNginx && process.env.CI === undefined) console.warn('nginx is not installed: the tests behind it are skipped.')

/** nginx before the service, until the test is over. `site`: what stands in its http block. Gives when it answers at `url`. */
async function open(site: string, url: string, answers: (url: string) => Promise<number>): Promise<void> {
  const nginx = await startNginx(site)
  onTestFinished(() => nginx[Symbol.asyncDispose]())
  await expect.poll(() => answers(url).catch(() => 0)).toBeGreaterThan(0)
}

/** With its default proxy settings: it collects answers unless it is told not to. */
async function openPlain(upstreamPort: number): Promise<string> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  await open(
    `gzip on; gzip_types *; server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${upstreamPort}; } }`,
    url,
    async () => (await fetch(`${url}/health`)).status,
  )
  return url
}

/** With the site of compose.yaml; an nginx of a build machine does not know two words of it. */
async function openWithTls(upstreamPort: number) {
  const folder = await openFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  const [key, certificate] = ['key.pem', 'certificate.pem'].map((name) => join(folder.path, name))
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', `${key}`, '-out', `${certificate}`], {
    stdio: 'ignore',
  })
  const [port, plainPort] = [await freePort(), await freePort()]
  const site = (await readFile('deploy/nginx/compose.conf', 'utf8'))
    .replaceAll('server api:8000 resolve', `server 127.0.0.1:${upstreamPort}`)
    .replace('http2 on;', '')
    .replace('listen 8443', `listen 127.0.0.1:${port}`)
    .replace('listen 8080', `listen 127.0.0.1:${plainPort}`)
    .replace('/run/secrets/tls_certificate', `${certificate}`)
    .replace('/run/secrets/tls_key', `${key}`)
  const plainUrl = `http://localhost:${plainPort}`
  await open(site, plainUrl, async () => (await fetch(plainUrl, { redirect: 'manual' })).status)
  return { port, plainUrl, ca: await readFile(`${certificate}`) }
}

// With CI set it fails where nginx is missing, so that it is not forgotten there.
test.skipIf(!hasNginx && process.env.CI === undefined)('a stream comes through nginx piece by piece', measured, async () => {
  await using server = await startServer({
    host: createFakeEngine({ answer: () => ({ pieces: Array.from({ length: 20 }, (_, number) => `${number} `) }), pauseMs: 100 }),
  })
  const url = await openPlain(server.port)
  const start = performance.now()
  const response = await fetch(`${url}/predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'accept-encoding': 'gzip' },
    body: JSON.stringify({ prompt: 'x', stream: true }),
  })
  const arrivals: number[] = []
  for await (const _event of readEvents(response)) arrivals.push(performance.now() - start)
  expect(arrivals).toHaveLength(21)
  expect(arrivals[0]).toBeLessThan(500)
  expect(arrivals[20]).toBeGreaterThan(1500)
})

test.skipIf(!hasNginx && process.env.CI === undefined)(
  'the site of compose.yaml speaks TLS 1.2 and 1.3 alone, to sockets too',
  async () => {
    await using server = await startServer({
      host: createFakeEngine({ answer: () => ({ pieces: ['x'] }) }),
      settings: { ENVIRONMENT: 'production', SECRET_KEY: randomBytes(32).toString('hex'), ALLOW_ANONYMOUS: 'true' },
    })
    const { port, plainUrl, ca } = await openWithTls(server.port)
    async function versionOf(version: SecureVersion): Promise<string | null> {
      // Else this side would refuse the old ones by itself.
      const ciphers = 'DEFAULT@SECLEVEL=0'
      const socket = connect({ port, host: 'localhost', ca, ciphers, minVersion: version, maxVersion: version })
      await once(socket, 'secureConnect')
      const spoken = socket.getProtocol()
      socket.destroy()
      return spoken
    }
    expect([await versionOf('TLSv1.2'), await versionOf('TLSv1.3')]).toEqual(['TLSv1.2', 'TLSv1.3'])
    for (const old of ['TLSv1', 'TLSv1.1'] as const)
      await expect(versionOf(old)).rejects.toMatchObject({ code: expect.stringMatching(/PROTOCOL_VERSION$/) })

    const plain = await fetch(`${plainUrl}/predict?a=b`, { method: 'POST', body: '{}', redirect: 'manual' })
    expect([plain.status, plain.headers.get('location')]).toEqual([308, 'https://localhost:8443/predict?a=b'])

    const socket = new WebSocket(`wss://localhost:${port}/predict/ws`, { ca })
    const [, response] = await Promise.all([once(socket, 'open'), once(socket, 'upgrade').then(([message]) => message)])
    expect(response.headers['strict-transport-security']).toBe('max-age=31536000')
    socket.send(JSON.stringify({ prompt: 'x' }))
    expect(JSON.parse(String((await once(socket, 'message'))[0]))).toMatchObject({ type: 'token', text: 'x' })
    socket.terminate()
  },
)
