import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import Sqlite from 'better-sqlite3'
import { expect } from 'vitest'
import { AppError } from '../src/errors.ts'
import { type Fault, failAt, full, onceBroken } from './failing-disk.ts'

/** A way in which the service keeps something. */
export type SavePath<World> = Readonly<{
  /** Opens what is in the folder, as a start of the service does. */
  open: (folder: string) => World | Promise<World>
  close?: (world: World) => Promise<unknown>
  /** Makes what is there before. */
  prepare?: (world: World) => Promise<unknown>
  save: (world: World) => Promise<unknown>
  /** What a start makes of it; files and rows are compared anyway. */
  read?: (world: World) => Promise<unknown>
  /** Where the database is; default: `simpleia.db`. */
  database?: string
  /** Files that stay after a failure, so that the next save can go on from them. */
  keeps?: RegExp
  /** Files whose content differs each time. */
  varies?: RegExp
  /** A state between the old and the new one that is as good. */
  isFine?: (state: State, end: Readonly<{ before: State; after: State; fault: Fault }>) => boolean
  /** Whether what was saved can be saved again. */
  repeats?: boolean
  /** Codes of the system that the caller turns into errors of ours. */
  allows?: readonly string[]
}>

export type State = Readonly<{ files: Readonly<Record<string, string>>; rows: readonly string[]; read: unknown }>

/** Whether all files of one state are in the other. */
export const isPartOf = ({ files }: State, whole: State): boolean =>
  Object.entries(files).every(([name, content]) => whole.files[name] === content)

/** In memory, where that is one: a disk takes its time. */
export const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

const faults: readonly Fault[] = [onceBroken, full, { code: 'EIO', lasts: true }]

/**
 * Saves while the first operation that changes something fails, then the second, and so on until none is left to fail; on a disk that fails
 * once, fills up, or breaks for good. After each a fresh start must find the old state or the new one, and nothing else; the failure must
 * say what it was; and the next save must work. Gives the number of failures.
 */
export async function everyFailure<World>(path: SavePath<World>, on: readonly Fault[] = faults): Promise<number> {
  const root = await mkdtemp(join(place, 'simpleia-failures-'))
  try {
    const ends = await readEnds(path, root)
    let failures = 0
    for (const fault of on) {
      for (let at = 1; await fail(path, { root, at, fault, ...ends }); at += 1) failures += 1
    }
    expect(failures).toBeGreaterThan(0)
    return failures
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

async function using<World, T>(path: SavePath<World>, folder: string, work: (world: World) => Promise<T>): Promise<T> {
  const world = await path.open(folder)
  try {
    return await work(world)
  } finally {
    await path.close?.(world)
  }
}

async function readEnds<World>(path: SavePath<World>, root: string) {
  const template = join(root, 'template')
  await mkdir(template)
  await using(path, template, async (world) => path.prepare?.(world))
  const before = await readState(path, await copyOf(template, join(root, 'before')))
  const saved = await copyOf(template, join(root, 'after'))
  await using(path, saved, path.save)
  const after = await readState(path, saved)
  expect(after, 'a save changes something').not.toEqual(before)
  return { template, before, after }
}

async function copyOf(from: string, to: string): Promise<string> {
  await cp(from, to, { recursive: true, preserveTimestamps: true })
  return to
}

type Failing = Readonly<{ root: string; template: string; before: State; after: State; at: number; fault: Fault }>

/** False: there were fewer operations. */
async function fail<World>(path: SavePath<World>, failing: Failing): Promise<boolean> {
  const { root, template, before, after, at, fault } = failing
  const label = `operation ${at} fails with ${fault.code}${fault.lasts ? ', and all after it' : ''}`
  const folder = await copyOf(template, join(root, 'work'))
  try {
    return await using(path, folder, async (world) => {
      const { isMet, error } = await failAt({ folder, at, fault }, () => path.save(world))
      const found = await readState(path, folder)
      if (error !== undefined && !isAllowed(error, path)) checkError(error, label)
      const isNew = isSame(found, after, path)
      if (error === undefined && !isNew) expect(found, `${label}: saved`).toEqual(after)
      const isOld = isSame(found, before, path)
      if (!isNew && !isOld && path.isFine?.(found, failing) !== true)
        expect(found, `${label}: neither old nor new`).toEqual(error === undefined ? after : before)
      if (!isNew || path.repeats === true) {
        await path.save(world)
        expect(await readState(path, folder), `${label}: saved again`).toEqual(after)
      }
      return isMet
    })
  } finally {
    await rm(folder, { recursive: true })
  }
}

const isAllowed = (error: unknown, { allows = [] }: Readonly<{ allows?: readonly string[] }>) =>
  error instanceof Error && 'code' in error && allows.includes(String(error.code))

/** What the caller is told: an error of the closed list that says what is wrong with the disk. */
function checkError(error: unknown, label: string): void {
  if (!(error instanceof AppError)) throw new Error(`${label}: not a clear error`, { cause: error })
  expect(['storage_full', 'unavailable'], `${label}: ${error.message}`).toContain(error.code)
}

function isSame(found: State, expected: State, { keeps }: Readonly<{ keeps?: RegExp }>): boolean {
  const files = Object.entries(found.files).filter(([name]) => name in expected.files || keeps?.test(name) !== true)
  return JSON.stringify({ ...found, files: Object.fromEntries(files) }) === JSON.stringify(expected)
}

/** As a fresh start finds it. */
async function readState<World>(path: SavePath<World>, folder: string): Promise<State> {
  const read = await using(path, folder, async (world) => path.read?.(world))
  return { files: await readFiles(folder, path.varies), rows: readRows(join(folder, path.database ?? 'simpleia.db')), read }
}

async function readFiles(folder: string, varies: RegExp | undefined): Promise<State['files']> {
  const files: Record<string, string> = {}
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const name = relative(folder, path)
    if (!entry.isFile() || /simpleia\.db/.test(name)) continue
    files[name] =
      varies?.test(name) === true
        ? 'some'
        : createHash('sha256')
            .update(await readFile(path))
            .digest('hex')
  }
  return Object.fromEntries(Object.entries(files).sort(([one], [other]) => (one < other ? -1 : 1)))
}

/** What is different each time: ids and times. */
const random = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g
const time = /\d{4}-\d{2}-\d{2}T[\d:.]+Z/g

function readRows(file: string): readonly string[] {
  if (!existsSync(file)) return []
  const database = new Sqlite(file, { readonly: true })
  try {
    const tables = database.prepare<[], { name: string }>(
      "select name from pragma_table_list where schema = 'main' and type = 'table' and name not like 'sqlite_%' order by name",
    )
    return tables.all().flatMap(({ name }) =>
      database
        .prepare<[], object>(`select * from "${name}"`)
        .all()
        .map((row) => `${name}: ${JSON.stringify(row)}`.replaceAll(random, 'ID').replaceAll(time, 'TIME'))
        .sort(),
    )
  } finally {
    database.close()
  }
}
