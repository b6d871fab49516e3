import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { measured } from '../measured.ts'
import { startServer } from '../server.ts'
import { readEvents } from '../sse-parser.ts'

const hasNginx = spawnSync('nginx', ['-v']).error === undefined
if (!hasNginx && process.env.CI === undefined) console.warn('nginx is not installed: the test behind it is skipped.')

function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

/** nginx in front of the service, with its default proxy settings: it collects answers unless it is told not to. */
async function startNginx(upstreamPort: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-nginx-'))
  const port = await findFreePort()
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join('\n')
  await mkdir(join(folder, 'logs'))
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
    events {}
    http { access_log off; gzip on; gzip_types *; ${temporary}
      server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${upstreamPort}; } } }`,
  )
  const child: ChildProcess = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')])
  onTestFinished(async () => {
    child.kill('SIGTERM')
    await new Promise((resolve) => child.once('exit', resolve))
    await rm(folder, { recursive: true, force: true })
  })
  const url = `http://127.0.0.1:${port}`
  await expect
    .poll(() =>
      fetch(`${url}/health`).then(
        (response) => response.status,
        () => 0,
      ),
    )
    .toBe(200)
  return url
}

// With CI set it fails where nginx is missing, so that it is not forgotten there.
test.skipIf(!hasNginx && process.env.CI === undefined)('a stream comes through nginx piece by piece', measured, async () => {
  await using server = await startServer({
    host: createFakeEngine({ answer: () => ({ pieces: Array.from({ length: 20 }, (_, number) => `${number} `) }), pauseMs: 100 }),
  })
  const url = await startNginx(server.port)
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
