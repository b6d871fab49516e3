import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { startServer } from '../server.ts'

const scripts = (await readdir('web')).filter((file) => file.endsWith('.js'))
const source = (file: string) => readFile(join('web', file), 'utf8')

test('the API serves the pages and every file that they name', async () => {
  await using server = await startServer({
    host: createFakeEngine({ answer: () => ({ pieces: [] }) }),
    settings: { ALLOW_ANONYMOUS: 'false' },
  })
  for (const path of ['/', '/admin']) {
    const page = await fetch(`${server.url}${path}`)
    expect(page.status).toBe(200)
    expect(page.headers.get('content-type')).toContain('text/html')
    const named = [...(await page.text()).matchAll(/(?:src|href)="(\/[\w.-]+)"/g)].map(([, file = '']) => file)
    expect(named.length).toBeGreaterThan(2)
    for (const file of named) expect((await fetch(`${server.url}${file}`)).status, file).toBe(200)
  }
})

test('no script of the pages turns text into markup or code', async () => {
  const found: string[] = []
  for (const file of scripts) {
    const uses = (await source(file)).match(
      /innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|srcdoc|document\.write|eval\(|Function\(/,
    )
    if (uses !== null) found.push(`${file}: ${uses[0]}`)
  }
  expect(scripts.length).toBeGreaterThan(5)
  expect(found).toEqual([])
})

test('every text of the pages is used', async () => {
  const { texts } = await import(join(process.cwd(), 'web/texts.js'))
  const pages = ['index.html', 'admin.html', ...scripts.filter((file) => file !== 'texts.js')]
  const all = (await Promise.all(pages.map(source))).join('\n')
  expect(Object.keys(texts).filter((key) => !new RegExp(`['"]${key}['"]`).test(all))).toEqual([])
})
