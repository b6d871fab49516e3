import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import Fastify from 'fastify'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createWebClient } from '../../src/cli/web-client.ts'
import { pagesFrom } from '../../src/web-client/pages.ts'

const files = {
  'index.html': '<!doctype html><title>Pages</title>',
  'manifest.webmanifest': '{"name":"Pages"}',
  'robots.txt': 'User-agent: *\nDisallow: /\n',
  'favicon.svg': '<svg xmlns="http://www.w3.org/2000/svg"/>',
  'assets/index-Ab3.js': 'export const answer = 42',
  'assets/index-Ab3.css': 'body { margin: 0 }',
}

/** A server of pages that were built as `vite build` does, and the web client before it. */
async function servePages() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-pages-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'assets'))
  await mkdir(join(folder, 'icons'))
  await writeFile(join(folder, 'icons', 'icon-192.png'), 'PNG')
  await writeFile(join(folder, '.built-from'), 'a fingerprint')
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, name), content)
    await writeFile(join(folder, `${name}.br`), brotliCompressSync(content))
    await writeFile(join(folder, `${name}.gz`), gzipSync(content))
  }
  const http = Fastify()
  await http.register(pagesFrom(folder))
  const url = await http.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(() => http.close())
  const client = createWebClient({ apiUrl: url, unreachable: 'Nobody answers.' })
  const clientUrl = await client.http.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(() => client.close())
  return { http, url, clientUrl }
}

const headersOf = ({ headers }: Response, ...names: readonly string[]) => names.map((name) => headers.get(name))

describe('the built pages', () => {
  test('come compressed, with their types, through the web client too', async () => {
    const { url, clientUrl } = await servePages()
    const types = {
      '/': 'text/html; charset=utf-8',
      '/admin': 'text/html; charset=utf-8',
      '/manifest.webmanifest': 'application/manifest+json',
      '/robots.txt': 'text/plain; charset=utf-8',
      '/favicon.svg': 'image/svg+xml',
      '/assets/index-Ab3.js': 'application/javascript; charset=utf-8',
      '/assets/index-Ab3.css': 'text/css; charset=utf-8',
    }
    for (const [path, type] of Object.entries(types)) {
      for (const from of [url, clientUrl]) {
        for (const [accepted, encoding] of [
          ['gzip, deflate, br', 'br'],
          ['gzip', 'gzip'],
          ['identity', null],
        ] as const) {
          const answer = await fetch(`${from}${path}`, { headers: { 'accept-encoding': accepted } })
          const expected = [type, encoding, 'accept-encoding']
          expect(headersOf(answer, 'content-type', 'content-encoding', 'vary'), `${path} ${accepted}`).toEqual(expected)
          const name = ['/', '/admin'].includes(path) ? 'index.html' : path.slice(1)
          expect(await answer.text()).toBe(Object.entries(files).find(([file]) => file === name)?.[1])
        }
      }
    }
    const icon = await fetch(`${url}/icons/icon-192.png`, { headers: { 'accept-encoding': 'br' } })
    expect(headersOf(icon, 'content-type', 'content-encoding')).toEqual(['image/png', null])
  })

  test('are kept for good where their name holds their content, and asked for again elsewhere', async () => {
    const { http, url } = await servePages()
    const cacheOf = async (path: string) => (await fetch(`${url}${path}`, { method: 'HEAD' })).headers.get('cache-control')
    expect(await cacheOf('/assets/index-Ab3.js')).toBe('public, max-age=31536000, immutable')
    for (const path of ['/', '/admin', '/manifest.webmanifest', '/icons/icon-192.png'])
      expect(await cacheOf(path), path).toBe('no-cache')
    const { etag } = (await http.inject('/')).headers
    expect((await http.inject({ url: '/', headers: { 'if-none-match': String(etag) } })).statusCode).toBe(304)
  })

  test('are all that is served of their folder', async () => {
    const { url } = await servePages()
    for (const path of ['/index.html.br', '/.built-from', '/assets', '/assets/other.js', '/..%2findex.html'])
      expect((await fetch(`${url}${path}`)).status, path).toBe(404)
  })

  test('that are not there are said to be missing, with what builds them', async () => {
    const http = Fastify()
    onTestFinished(() => http.close())
    await http.register(pagesFrom(join(tmpdir(), 'no-such-folder')))
    for (const path of ['/', '/admin']) expect((await http.inject(path)).body).toContain('./run_llm.sh all')
  })
})

test('the page names an icon for every place, and files that are there', async () => {
  const page = await readFile('web/index.html', 'utf8')
  const manifest = JSON.parse(await readFile('web/public/manifest.webmanifest', 'utf8'))
  const icons: ReadonlyArray<{ src: string; sizes: string; purpose: string }> = manifest.icons
  expect(icons.map(({ sizes, purpose }) => `${sizes} ${purpose}`)).toEqual(
    expect.arrayContaining(['192x192 any', '512x512 any', '512x512 maskable']),
  )
  const linked = [...page.matchAll(/href="(\/[\w./-]+)"/g)].map(([, path = '']) => path)
  expect(linked).toContain('/icons/apple-touch-icon.png')
  for (const path of [...linked, ...icons.map(({ src }) => src)]) await readFile(join('web/public', path))
  for (const { src, sizes } of icons.filter(({ sizes }) => sizes !== 'any'))
    expect(await pngSize(join('web/public', src)), src).toBe(sizes)
  expect(page.match(/<meta name="theme-color"/g)).toHaveLength(2)
  expect(await readFile('web/public/robots.txt', 'utf8')).toContain('Disallow: /')
})

async function pngSize(path: string): Promise<string> {
  const bytes = await readFile(path)
  return `${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}`
}

test('the build lists what the pages are made of, so that a change of it makes them anew', async () => {
  const listed: readonly string[] = JSON.parse(await readFile('dist/web/.sources.json', 'utf8'))
  expect(listed).toEqual(expect.arrayContaining(['src/client.ts', 'src/errors.ts', 'web/App.svelte', 'web/main.ts']))
})
