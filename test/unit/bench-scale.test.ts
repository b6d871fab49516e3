import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { toMarkdown, writeInto } from '../../bench/scale/tables.ts'

const table = {
  name: 'memory',
  columns: ['', 'MiB', 'ms'],
  rows: [['idle', 1234.5, 0.0321] as const, ['busy', undefined, 12.345] as const],
}

test('a table is told in figures that can be read', () => {
  expect(toMarkdown(table)).toBe('|  | MiB | ms |\n| --- | --: | --: |\n| idle | 1,235 | 0.032 |\n| busy | – | 12.3 |')
})

test('a table is put in its place of a document, again too, and what has no place is told', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-scale-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const file = join(folder, 'a.md')
  const before = (inside: string) => `One\n\n<!-- memory: by a program -->\n${inside}\n<!-- end of memory -->\n\nTwo\n`
  await writeFile(file, before('\nNot yet.\n'))
  for (let time = 0; time < 2; time += 1) {
    expect(await writeInto(file, [table, { ...table, name: 'other' }])).toEqual(['other'])
    expect(await readFile(file, 'utf8')).toBe(before(`\n${toMarkdown(table)}\n`))
  }
})

test('docs/operations-scale.md has a place for each table that is measured', async () => {
  const folder = join('bench', 'scale')
  const code = await Promise.all((await readdir(folder)).map((file) => readFile(join(folder, file), 'utf8')))
  const names = [...code.join('\n').matchAll(/\bname: '([a-z]+)', columns|\bname: '([a-z]+)',\n\s+columns/g)].map(
    ([, one, other]) => one ?? other,
  )
  const document = await readFile(join('docs', 'operations-scale.md'), 'utf8')
  const places = [...document.matchAll(/^<!-- ([a-z]+): measured by bench\/scale\/main\.ts -->$/gm)].map(([, name]) => name)
  expect(names.length).toBeGreaterThan(8)
  expect(places.sort()).toEqual(names.sort())
})
