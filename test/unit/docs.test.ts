import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { settingRows } from '../../src/config/settings.ts'
import { settingsDocs } from '../../src/config/settings-docs.ts'
import { errorCodes } from '../../src/errors.ts'

test('docs/settings.md is what "npm run docs" makes of the settings table', async () => {
  expect(await readFile('docs/settings.md', 'utf8')).toBe(settingsDocs())
})

test('.env.example names only settings that exist, and switches none on', async () => {
  const known = new Set(settingRows.map(([, { env }]) => env))
  for (const line of (await readFile('.env.example', 'utf8')).split('\n').filter((text) => text.trim() !== '')) {
    expect(line).toMatch(/^#/)
    const name = /^# ?([A-Z][A-Z0-9_]+)=/.exec(line)?.[1]
    if (name !== undefined) expect(known).toContain(name)
  }
})

test('every error code is explained in docs/errors.md, and no other', async () => {
  const headings = [...(await readFile('docs/errors.md', 'utf8')).matchAll(/^## (.+)$/gm)].map(([, heading]) => heading)
  expect(headings.sort()).toEqual([...errorCodes].sort())
})

test('every setting that is not marked as unused is read somewhere in the program', async () => {
  const files = (await readdir('src', { recursive: true })).filter(
    (file) => file.endsWith('.ts') && !file.endsWith('-settings.ts'),
  )
  const code = (await Promise.all(files.map((file) => readFile(join('src', file), 'utf8')))).join('\n')
  const unread = settingRows
    .filter(([name, { planned }]) => !planned && !new RegExp(`\\b${name}\\b`).test(code))
    .map(([name]) => name)
  expect(unread).toEqual([])
})

test('links between the documents lead to files that exist', async () => {
  const kept = (await readdir('docs', { recursive: true })).filter((file) => file.endsWith('.md'))
  const around = [
    'README.md',
    'README.es.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    'SECURITY.md',
    'deploy/README.md',
  ]
  const documents = [...around, ...kept.map((file) => join('docs', file))]
  expect(documents.length).toBeGreaterThan(30)
  for (const document of documents) {
    const links = [...(await readFile(document, 'utf8')).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link = '']) => link)
    for (const link of links) await readFile(join(document, '..', link))
  }
})

test('each fault that docs/operations.md tells of names tests that are there', async () => {
  const [, section = ''] = (await readFile('docs/operations.md', 'utf8')).split('## When something around it fails')
  const rows = [...section.matchAll(/^\|.*\| (`[^|]+) \|$/gm)]
  expect(rows.length).toBeGreaterThan(7)
  for (const [, tests = ''] of rows)
    for (const name of tests.replaceAll('`', '').split(', ')) await readFile(join('test', 'unit', name))
})

test('each test that docs/peer-behaviours.md names is there', async () => {
  const text = await readFile('docs/peer-behaviours.md', 'utf8')
  const named = [...text.matchAll(/`((?:unit|model)\/[a-z-]+)`((?: “[^”]+”)+)/g)]
  expect(named.length).toBeGreaterThan(60)
  for (const [, file = '', titles = ''] of named) {
    const tests = await readFile(join('test', `${file}.test.ts`), 'utf8')
    for (const [, title = ''] of titles.matchAll(/“([^”]+)”/g)) expect(tests, `${file}: ${title}`).toContain(title)
  }
})

test('each check that docs/quality.md names is there', async () => {
  const text = await readFile('docs/quality.md', 'utf8')
  const named = [...text.matchAll(/`((?:unit|model|clients)\/[a-z-]+)`/g)].map(([, name = '']) => name)
  expect(named.length).toBeGreaterThan(20)
  const files = new Set((await readdir('test', { recursive: true })).map((file) => file.replaceAll('\\', '/')))
  expect(named.filter((name) => !files.has(`${name}.test.ts`))).toEqual([])
})
