import type { TrainingExample } from '../../engine/train/example.ts'
import { type Excludable, type RowFlag, rowFlags } from '../kinds.ts'
import type { DatasetReport } from '../report.ts'
import { drawHeldOut, type Group } from './draw-held-out.ts'
import { fingerprintOf } from './fingerprint.ts'
import { createJoined } from './joined.ts'
import { createNearDuplicates } from './near-duplicates.ts'
import { findSecrets } from './secrets.ts'
import { createTally } from './tally.ts'

export type SurveyedRow = Readonly<{ flags: readonly RowFlag[]; isExcluded: boolean; group: string; isHeldOut: boolean }>
export type RowsReport = Pick<DatasetReport, 'rows' | 'flags' | 'excluded' | 'excludedRows' | 'split'>
export type CompareOptions = Readonly<{ heldOut: number; seed: number; exclude: readonly Excludable[] }>

type FlagExample = Readonly<{ line: number; firstLine?: number }>
/** `flags`: a bit for each of `rowFlags`. */
type Row = { line: number; flags: number; conversation: number }

/**
 * Questions are often put in one form (an instruction, and what it is about), which makes them alike in nearly all of their characters: what
 * more rows than this have in common, or in large datasets more than their square root, is such a form. Lines of text have none.
 */
const fewestInForm = 5

const bitOf = (flag: RowFlag) => 1 << rowFlags.indexOf(flag)
const flagsOf = (bits: number) => rowFlags.filter((flag) => (bits & bitOf(flag)) !== 0)

/** Takes the examples of a file, and compares them when all are there. Keeps some hundred bytes of each. */
export function createRows() {
  const rows: Row[] = []
  const contents = new Map<string, number>()
  const questions = new Map<string, number>()
  const conversations = new Map<string, number>()
  const near = createNearDuplicates()
  const flagged = createTally<RowFlag, FlagExample>()
  let isAsked = false

  function flag(row: Row, name: RowFlag, first?: Row): void {
    if ((row.flags & bitOf(name)) !== 0) return
    row.flags |= bitOf(name)
    flagged.add(name, { line: row.line, ...(first === undefined ? {} : { firstLine: first.line }) })
  }

  /** Tells which of the rows come together, and flags those that are nearly like an earlier one. */
  function joinLikeness() {
    const joined = createJoined()
    const mostShared = isAsked ? Math.max(fewestInForm, Math.ceil(Math.sqrt(rows.length))) : rows.length
    for (const [first, second] of near.findPairs(mostShared)) {
      const [one, other] = [rows[first], rows[second]]
      if (one === undefined || other === undefined) continue
      joined.join(one.conversation, other.conversation)
      if ((other.flags & bitOf('duplicate')) === 0) flag(other, 'near-duplicate', one)
    }
    return groupKeys(conversations, joined.find)
  }

  return {
    count: () => rows.length,
    add(example: TrainingExample, line: number): void {
      const print = fingerprintOf(example)
      const conversation = placeOf(conversations, print.conversation, conversations.size)
      const row: Row = { line, flags: 0, conversation }
      const number = rows.push(row) - 1
      const same = placeOf(contents, print.content, number)
      if (same !== number) flag(row, 'duplicate', rows[same])
      isAsked = print.question !== undefined
      const asked = print.question === undefined ? number : placeOf(questions, print.question, number)
      if (asked !== number && same === number) flag(row, 'other-answer', rows[asked])
      for (const secret of findSecrets(print.texts)) flag(row, secret)
      near.add(print.said)
    },
    compare({ heldOut: share, seed, exclude }: CompareOptions) {
      const keys = joinLikeness()
      const excludedBits = rowFlags
        .filter((name) => exclude.includes(name) || (exclude.includes('secret') && name.startsWith('secret:')))
        .reduce((bits, name) => bits | bitOf(name), 0)
      const keyOf = ({ conversation }: Row) => {
        const { [conversation]: key = '' } = keys
        return key
      }
      const kept = rows.filter(({ flags }) => (flags & excludedBits) === 0)
      const groups = groupsOf(kept, keyOf)
      const held = drawHeldOut(groups, { share, seed })
      const excludedRows = rows.filter(({ flags }) => (flags & excludedBits) !== 0)
      const heldGroups = groups.filter(({ key }) => held.has(key))
      const heldOutRows = heldGroups.reduce((sum, group) => sum + group.rows, 0)
      const report: RowsReport = {
        rows: kept.length,
        flags: flagged.list().map(({ name, ...counted }) => ({ flag: name, ...counted })),
        excluded: flagsOf(excludedBits)
          .map((name) => ({ flag: name, count: excludedRows.filter(({ flags }) => (flags & bitOf(name)) !== 0).length }))
          .filter(({ count }) => count > 0),
        excludedRows: excludedRows.length,
        split: {
          seed,
          heldOut: share,
          trainRows: kept.length - heldOutRows,
          heldOutRows,
          conversations: groups.reduce((sum, group) => sum + group.conversations, 0),
          heldOutConversations: heldGroups.reduce((sum, group) => sum + group.conversations, 0),
          groups: groups.length,
        },
      }
      const rowAt = (place: number): SurveyedRow => {
        const { [place]: row = { line: 0, flags: 0, conversation: 0 } } = rows
        const group = keyOf(row)
        return { flags: flagsOf(row.flags), isExcluded: (row.flags & excludedBits) !== 0, group, isHeldOut: held.has(group) }
      }
      return { report, rowAt }
    },
  }
}

/** What a key was first seen with; this, if never before. */
function placeOf(places: Map<string, number>, key: string, place: number): number {
  const known = places.get(key)
  if (known !== undefined) return known
  places.set(key, place)
  return place
}

/** For each conversation, the smallest key of those that it is joined to: the order of the rows does not matter. */
function groupKeys(conversations: ReadonlyMap<string, number>, find: (number: number) => number): readonly string[] {
  const smallest = new Map<number, string>()
  for (const [key, number] of conversations) {
    const set = find(number)
    const known = smallest.get(set)
    if (known === undefined || key < known) smallest.set(set, key)
  }
  // Conversations are numbered in the order in which they came.
  return Array.from(conversations.values(), (number) => smallest.get(find(number)) ?? '')
}

function groupsOf(rows: readonly Row[], keyOf: (row: Row) => string): readonly Group[] {
  const groups = new Map<string, { rows: number; conversations: Set<number> }>()
  for (const row of rows) {
    const group = groups.get(keyOf(row)) ?? { rows: 0, conversations: new Set() }
    group.rows += 1
    group.conversations.add(row.conversation)
    groups.set(keyOf(row), group)
  }
  return [...groups].map(([key, group]) => ({ key, rows: group.rows, conversations: group.conversations.size }))
}
