import { expect, test } from 'vitest'
import type { ConversationItem } from '../../src/conversations/schema.ts'
import { markWords } from '../../web/chat/list/mark-words.ts'
import { groupItems, joinPages, placeItem } from '../../web/chat/list/order.ts'
import { toFileName } from '../../web/ui/file-name.ts'

const item = (id: string, updated_at: string, pinned = false): ConversationItem => {
  return { id, title: id, pinned, created_at: updated_at, updated_at, excerpt: null }
}
const ids = (items: readonly ConversationItem[]) => items.map(({ id }) => id).join(' ')

test('a conversation stands where the service would list it: pinned ones first, then by what was said last', () => {
  const items = [item('p', '2026-01-01T00:00:00Z', true), item('b', '2026-03-02T00:00:00Z'), item('a', '2026-03-01T00:00:00Z')]
  expect(ids(placeItem(items, item('new', '2026-03-03T00:00:00Z'), { hasMore: false }))).toBe('p new b a')
  expect(ids(placeItem(items, item('a', '2026-03-05T00:00:00Z'), { hasMore: false }))).toBe('p a b')
  expect(ids(placeItem(items, item('b', '2026-03-02T00:00:00Z', true), { hasMore: false }))).toBe('b p a')
  expect(ids(placeItem(items, item('old', '2025-01-01T00:00:00Z'), { hasMore: false }))).toBe('p b a old')
})

test('one that belongs to a page that is not loaded waits for it', () => {
  const items = [item('b', '2026-03-02T00:00:00Z')]
  expect(ids(placeItem(items, item('old', '2025-01-01T00:00:00Z'), { hasMore: true }))).toBe('b')
})

test('pages are joined without saying one conversation twice', () => {
  const [a, b, c] = [item('a', '3'), item('b', '2'), item('c', '1')]
  expect(ids(joinPages([a, b], [b, c]))).toBe('a b c')
})

test('conversations stand under the day, the week or the month in which something was said last', () => {
  const now = new Date(2026, 5, 10, 0, 30)
  const at = (...[year, month, day, hour]: readonly [number, number, number, number]) =>
    new Date(year, month, day, hour).toISOString()
  const items = [
    item('pinned', at(2020, 0, 1, 0), true),
    item('now', at(2026, 5, 10, 0)),
    item('late', at(2026, 5, 9, 23)),
    item('week', at(2026, 5, 4, 12)),
    item('month', at(2026, 5, 1, 12)),
    item('year', at(2025, 5, 1, 12)),
  ]
  const groups = groupItems(items, now)
  expect(groups.map(({ time, items }) => `${time.type}: ${ids(items)}`)).toEqual([
    'pinned: pinned',
    'today: now',
    'yesterday: late',
    'week: week',
    'month: month',
    'month: year',
  ])
  expect(new Set(groups.map(({ key }) => key)).size).toBe(groups.length)
})

test('what was searched for is marked by the beginnings of words, whatever their case and marks', () => {
  const hits = (text: string, search: string) => markWords(text, search).flatMap(({ text, isHit }) => (isHit ? [text] : []))
  expect(hits('La CANCIÓN y las canciones', 'cancion')).toEqual(['CANCIÓN', 'canciones'])
  expect(hits('Descanso', 'can')).toEqual([])
  expect(hits('😀 garbanzos, 100 g', 'gar 100')).toEqual(['garbanzos', '100'])
  expect(hits('<b>bold</b>', '<b>')).toEqual(['b', 'bold', 'b'])
})

test('the pieces of a marked text are the text', () => {
  for (const text of ['', 'a', '😀 niño İstanbul ﬁn', 'e\u0301l él'])
    expect(
      markWords(text, 'ni is e')
        .map((piece) => piece.text)
        .join(''),
    ).toBe(text)
})

test('a title becomes the name of a file', () => {
  expect(toFileName('¿Qué tal? / ../x', 'md')).toBe('Qué-tal-x.md')
  expect(toFileName('***', 'json')).toBe('simpleia.json')
})
