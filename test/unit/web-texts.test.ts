import { glob, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Text } from '../../src/config/kinds.ts'

const tables = (await Array.fromAsync(glob('web/**/*texts.ts'))).sort()
const sources = (await Array.fromAsync(glob('web/**/*.{ts,svelte}'))).sort()
const textOf = (path: string) => readFile(path, 'utf8')

async function readTable(path: string): Promise<ReadonlyArray<readonly [string, Text]>> {
  const exported: Readonly<Record<string, Readonly<Record<string, Text>>>> = await import(join(process.cwd(), path))
  return Object.values(exported).flatMap((table) => Object.entries(table))
}

const placesOf = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort()

describe('the texts of the pages', () => {
  test('exist in both languages, with the same places', async () => {
    expect(tables.length).toBeGreaterThan(1)
    for (const path of tables)
      for (const [name, { en, es }] of await readTable(path)) {
        expect(en.trim(), `${path}: ${name}`).not.toBe('')
        expect(es.trim(), `${path}: ${name}`).not.toBe('')
        expect(placesOf(es), `${path}: ${name}`).toEqual(placesOf(en))
      }
  })

  test('are all used', async () => {
    const unused: string[] = []
    for (const path of tables) {
      if (path.endsWith('error-texts.ts')) continue
      // Their own folder says them; those of the shell are said everywhere.
      const folder = path.startsWith('web/shell/') ? 'web/' : `${dirname(path)}/`
      const users = sources.filter((source) => source.startsWith(folder) && source !== path)
      const all = (await Promise.all(users.map(textOf))).join('\n')
      for (const [name] of await readTable(path)) if (!new RegExp(`\\b${name}\\b`).test(all)) unused.push(`${path}: ${name}`)
    }
    expect(unused).toEqual([])
  })
})

describe('the sources of the pages', () => {
  test('turn text into markup in one place only, and text into code nowhere', async () => {
    const markup: string[] = []
    const code: string[] = []
    for (const source of sources) {
      const text = await textOf(source)
      if (/\{@html|innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|srcdoc|document\.write/.test(text)) markup.push(source)
      if (/\beval\(|new Function\(/.test(text)) code.push(source)
    }
    expect(markup.every((source) => source.startsWith('web/ui/markdown/') || source === 'web/ui/Markdown.svelte')).toBe(true)
    expect(code).toEqual([])
  })

  test('hold no inline style, which the security policy would refuse', async () => {
    for (const source of sources) expect(await textOf(source), source).not.toMatch(/\sstyle=["'{]/)
  })

  test('are no longer than 400 lines', async () => {
    const long: string[] = []
    for (const source of sources) if ((await textOf(source)).split('\n').length > 401) long.push(source)
    expect(long).toEqual([])
  })
})
