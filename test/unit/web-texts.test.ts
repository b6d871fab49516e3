import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Text } from '../../src/config/kinds.ts'

const tables = (await Array.fromAsync(glob('web/**/*texts.ts'))).sort()
const sources = (await Array.fromAsync(glob('web/**/*.{ts,svelte}'))).sort()
const textOf = (path: string) => readFile(path, 'utf8')

async function readTable(path: string): Promise<ReadonlyArray<readonly [string, Text]>> {
  const exported: Readonly<Record<string, Readonly<Record<string, Text>>>> = await import(join(process.cwd(), path))
  return Object.values(exported).flatMap((table) =>
    Object.entries(table).filter(([, text]) => typeof text === 'object' && 'en' in text),
  )
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
    const pages = (await Promise.all(sources.filter((path) => !path.endsWith('texts.ts')).map(textOf))).join('\n')
    // Names of the wire (states, reasons, purposes) come from the service; others are put together: `${field}Help`.
    const wire = (await Promise.all((await Array.fromAsync(glob('src/**/*.ts'))).map(textOf))).join('\n')
    const ends = [...pages.matchAll(/\$\{[^`}]*\}(\w+)`/g)].map(([, end = '']) => end)
    const starts = [...pages.matchAll(/`(\w+)\$\{/g)].map(([, start = '']) => start)
    const isUsed = (name: string) =>
      new RegExp(`(?<![\\w-])${name}(?![\\w-])`).test(pages) ||
      wire.includes(`'${name}'`) ||
      ends.some((end) => name.endsWith(end)) ||
      starts.some((start) => name.startsWith(start))
    const unused: string[] = []
    for (const path of tables) for (const [name] of await readTable(path)) if (!isUsed(name)) unused.push(`${path}: ${name}`)
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
      if (/\beval\(|\bFunction\(/.test(text)) code.push(source)
    }
    expect(markup.every((source) => source.startsWith('web/ui/markdown/') || source === 'web/ui/Markdown.svelte')).toBe(true)
    expect(code).toEqual([])
  })

  test('hold no inline style or handler, which the security policy would refuse', async () => {
    for (const source of sources.filter((path) => path.endsWith('.svelte')))
      expect(await textOf(source), source).not.toMatch(/\s(?:style=["'{]|on\w+=["'])/)
  })

  test('are no longer than 400 lines', async () => {
    const long: string[] = []
    for (const source of sources) if ((await textOf(source)).split('\n').length > 401) long.push(source)
    expect(long).toEqual([])
  })
})
