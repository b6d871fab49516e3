import { expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { startServer } from '../server.ts'

test('the API serves the pages and every file that they name', async () => {
  await using server = await startServer({
    host: createFakeEngine({ answer: () => ({ pieces: [] }) }),
    settings: { ALLOW_ANONYMOUS: 'false' },
  })
  for (const path of ['/', '/admin']) {
    const page = await fetch(`${server.url}${path}`)
    expect(page.status).toBe(200)
    expect(page.headers.get('content-type')).toContain('text/html')
    const named = [...(await page.text()).matchAll(/(?:src|href)="(\/[\w./-]+)"/g)].map(([, file = '']) => file)
    expect(named.length).toBeGreaterThan(2)
    for (const file of named) expect((await fetch(`${server.url}${file}`)).status, file).toBe(200)
  }
})
