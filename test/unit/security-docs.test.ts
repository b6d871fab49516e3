import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

const text = readFileSync('docs/security.md', 'utf8')

type Row = Readonly<{ id: string; level: string; asked: string; answer: string; where: string }>
const rows = [...text.matchAll(/^\| v5\.0\.0-([\d.]+) \| (\d) \| (.+?) \| (.+?) \| (.+) \|$/gm)].map(
  ([, id = '', level = '', asked = '', answer = '', where = '']): Row => ({ id, level, asked, answer, where }),
)
const standard: Readonly<{ version: string; level1: readonly string[]; level2: readonly string[] }> = JSON.parse(
  readFileSync('test/fixtures/asvs-5.0.0.json', 'utf8'),
)

describe('the answers to ASVS 5.0.0', () => {
  test('are one for each requirement of level 1, and of level 2 in four chapters', () => {
    const idsOf = (level: string) => rows.filter((row) => row.level === level).map(({ id }) => id)
    expect(standard.level1).toHaveLength(70)
    expect(idsOf('1')).toEqual(standard.level1)
    expect(idsOf('2')).toEqual(standard.level2)
  })

  test('are yes with the place that proves it, no with what would be needed, or n/a with the reason', () => {
    expect(rows.filter(({ answer }) => !['yes', 'no', 'n/a'].includes(answer))).toEqual([])
    expect(rows.filter(({ where }) => where.length < 5)).toEqual([])
  })

  test('are counted right', () => {
    const count = (level: string, answer: string) => rows.filter((row) => row.level === level && row.answer === answer).length
    const told = (level: string) =>
      `${count(level, 'yes')} are answered yes, ${count(level, 'no')} no, ${count(level, 'n/a')} n/a`
    const flat = text.replaceAll(/\s+/g, ' ')
    expect(flat).toContain(`Of level 1, ${told('1')}; of level 2, ${told('2').replace('are answered yes', 'yes')}.`)
  })

  test('name files and tests that there are', () => {
    const missing = rows.flatMap(({ id, where }) =>
      [...where.matchAll(/`([\w./-]+\.(?:test\.)?(?:ts|svelte))`/g)].flatMap(([, name = '']) => {
        const places = [name, `src/${name}`, `test/unit/${name}`]
        return places.some((place) => existsSync(place)) ? [] : [`${id} ${name}`]
      }),
    )
    expect(missing).toEqual([])
  })
})

test('the rows of the two lists of OWASP each have a test', () => {
  const api = readFileSync('test/unit/security-api-top10.test.ts', 'utf8')
  const llm = readFileSync('test/unit/security-llm-top10.test.ts', 'utf8')
  for (let row = 1; row <= 10; row += 1) {
    expect(api).toContain(`describe('API${row}:2023 `)
    expect(llm).toContain(`describe('LLM${String(row).padStart(2, '0')}:2025 `)
  }
})
