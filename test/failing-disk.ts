import fs from 'node:fs'
import promises, { open } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { resolve, sep } from 'node:path'
import Sqlite from 'better-sqlite3'
import { Client } from 'pg'

/** How a disk fails: it is full, or broken; once, or from then on. */
export type Fault = Readonly<{ code: 'ENOSPC' | 'EIO'; lasts: boolean }>

/** The one that reaches each operation with all others done. */
export const onceBroken: Fault = { code: 'EIO', lasts: false }
export const full: Fault = { code: 'ENOSPC', lasts: true }

type Injection = Readonly<{ folder: string; at: number; fault: Fault }> & { seen: number; isMet: boolean }

let injection: Injection | undefined

/**
 * Does the work while the n-th operation that changes something fails: of the files in the folder, and of all databases. What was done is
 * done for real. `isMet`: whether there were so many.
 */
export async function failAt(
  { folder, at, fault }: Readonly<{ folder: string; at: number; fault: Fault }>,
  work: () => Promise<unknown>,
): Promise<Readonly<{ isMet: boolean; error: unknown }>> {
  const its: Injection = { folder: resolve(folder), at, fault, seen: 0, isMet: false }
  injection = its
  try {
    const error = await work().then(
      () => undefined,
      (failure: unknown) => failure ?? new Error('Nothing was thrown.'),
    )
    return { isMet: its.isMet, error }
  } finally {
    injection = undefined
  }
}

/** Whether this operation is one that is to fail. What gives room back is done on a disk that is full. */
function fails(takesRoom: boolean): Injection | undefined {
  if (injection === undefined || (injection.fault.code === 'ENOSPC' && !takesRoom)) return undefined
  injection.seen += 1
  const isNow = injection.fault.lasts ? injection.seen >= injection.at : injection.seen === injection.at
  injection.isMet ||= isNow
  return isNow ? injection : undefined
}

const isOurs = (path: unknown) =>
  injection !== undefined && typeof path === 'string' && `${resolve(path)}${sep}`.startsWith(`${injection.folder}${sep}`)

type Work = (...parameters: readonly unknown[]) => unknown
type Wrapped = (self: unknown, parameters: readonly unknown[], original: Work) => unknown

function wrap(target: object, name: string, wrapped: Wrapped): void {
  const original: unknown = Reflect.get(target, name)
  if (typeof original !== 'function') throw new Error(`There is no ${name}.`)
  Reflect.set(target, name, function (this: unknown, ...parameters: readonly unknown[]) {
    return wrapped(this, parameters, (...given) => Reflect.apply(original, this, given))
  })
}

function diskError({ fault: { code } }: Injection, what: string): Error {
  const message = code === 'ENOSPC' ? 'no space left on device' : 'i/o error'
  return Object.assign(new Error(`${code}: ${message}, ${what}`), { code, errno: code === 'ENOSPC' ? -28 : -5, syscall: what })
}

/** Those that name a path, and whether they take room. */
const byPath = {
  mkdir: true,
  rename: true,
  link: true,
  symlink: true,
  copyFile: true,
  truncate: true,
  appendFile: true,
  rm: false,
  rmdir: false,
  unlink: false,
  utimes: false,
  chmod: false,
}

const isWriting = (flags: unknown): boolean =>
  typeof flags === 'number' ? (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR)) !== 0 : /[wax+]/.test(String(flags ?? 'r'))

function wrapPromises(): void {
  for (const [name, takesRoom] of Object.entries(byPath))
    wrap(promises, name, async (_, parameters, original) => {
      const failure = parameters.slice(0, 2).some(isOurs) ? fails(takesRoom) : undefined
      if (failure !== undefined) throw diskError(failure, name)
      return original(...parameters)
    })
  wrap(promises, 'open', async (_, parameters, original) => {
    const failure = isOurs(parameters[0]) && isWriting(parameters[1]) ? fails(true) : undefined
    if (failure !== undefined) throw diskError(failure, 'open')
    const file = await original(...parameters)
    if (isOurs(parameters[0]) && typeof file === 'object' && file !== null) ourFiles.add(file)
    return file
  })
  wrap(promises, 'writeFile', async (_, [path, content, ...more], original) => {
    const failure = isOurs(path) || isOurFile(path) ? fails(true) : undefined
    if (failure === undefined) return original(path, content, ...more)
    await original(path, halfOf(content), ...more)
    throw diskError(failure, 'write')
  })
}

const ourFiles = new WeakSet<object>()
const isOurFile = (file: unknown) => typeof file === 'object' && file !== null && ourFiles.has(file)

const lengthOf = (content: unknown) => (typeof content === 'string' || content instanceof Uint8Array ? content.length : 0)
const halfOf = (content: unknown) =>
  typeof content === 'string' || content instanceof Uint8Array ? content.slice(0, content.length >> 1) : ''

async function wrapFileHandles(): Promise<void> {
  const file = await open('/dev/null')
  const prototype: unknown = Object.getPrototypeOf(file)
  await file.close()
  if (typeof prototype !== 'object' || prototype === null) throw new Error('Files have no prototype.')
  for (const name of ['sync', 'datasync'])
    wrap(prototype, name, async (self, parameters, original) => {
      const failure = isOurFile(self) ? fails(true) : undefined
      if (failure !== undefined) throw diskError(failure, 'fsync')
      // No power is cut here, and a disk takes its time.
      return isOurFile(self) ? undefined : original(...parameters)
    })
  for (const name of ['truncate', 'writev', 'appendFile', 'utimes', 'chmod'])
    wrap(prototype, name, async (self, parameters, original) => {
      const failure = isOurFile(self) ? fails(name !== 'utimes' && name !== 'chmod') : undefined
      if (failure !== undefined) throw diskError(failure, name)
      return original(...parameters)
    })
  wrap(prototype, 'writeFile', async (self, [content, ...more], original) => {
    const failure = isOurFile(self) ? fails(true) : undefined
    if (failure === undefined) return original(content, ...more)
    await original(halfOf(content), ...more)
    throw diskError(failure, 'write')
  })
  wrap(prototype, 'write', async (self, parameters, original) => {
    const failure = isOurFile(self) ? fails(true) : undefined
    if (failure === undefined) return original(...parameters)
    const [bytes, from, length, position] = parameters
    const start = typeof from === 'number' ? from : 0
    const half = (typeof length === 'number' ? length : lengthOf(bytes) - start) >> 1
    // As a disk does that fills up: first as much as still fits, which is no error.
    if (half > 0 && bytes instanceof Uint8Array) {
      const written = await original(bytes, start, half, position)
      if (failure.fault.code === 'ENOSPC' && failure.fault.lasts) return written
    }
    throw diskError(failure, 'write')
  })
}

/** What streams call, with a callback as the last parameter. */
function wrapCallbacks(): void {
  const ourNumbers = new Set<unknown>()
  wrap(fs, 'open', (_, parameters, original) => {
    const [path, flags] = parameters
    const callback = parameters.at(-1)
    if (!isOurs(path) || typeof callback !== 'function') return original(...parameters)
    const failure = isWriting(flags) ? fails(true) : undefined
    if (failure !== undefined) return void setImmediate(() => callback(diskError(failure, 'open')))
    return original(...parameters.slice(0, -1), (error: unknown, number: unknown) => {
      if (isWriting(flags)) ourNumbers.add(number)
      callback(error, number)
    })
  })
  wrap(fs, 'close', (_, parameters, original) => {
    ourNumbers.delete(parameters[0])
    return original(...parameters)
  })
  for (const name of ['write', 'writev', 'fsync', 'fdatasync'])
    wrap(fs, name, (_, parameters, original) => {
      const callback = parameters.at(-1)
      const failure = ourNumbers.has(parameters[0]) && typeof callback === 'function' ? fails(true) : undefined
      if (failure === undefined || typeof callback !== 'function') return original(...parameters)
      return void setImmediate(() => callback(diskError(failure, name)))
    })
}

function wrapSynchronous(): void {
  for (const [name, takesRoom] of [...Object.entries(byPath), ['writeFile', true] as const])
    wrap(fs, `${name}Sync`, (_, parameters, original) => {
      const failure = parameters.slice(0, 2).some(isOurs) ? fails(takesRoom) : undefined
      if (failure !== undefined) throw diskError(failure, name)
      return original(...parameters)
    })
}

const changing =
  /^\s*(insert|update|delete|replace|begin|start transaction|commit|create|alter|drop|with\b.*\b(insert|update|delete)\b)/is

function wrapSqlite(): void {
  wrap(Sqlite.prototype, 'prepare', (self, parameters, original) => {
    const statement = original(...parameters)
    if (!(self instanceof Sqlite) || typeof statement !== 'object' || statement === null) return statement
    if (!changing.test(String(parameters[0]))) return statement
    for (const name of ['run', 'all', 'iterate'])
      wrap(statement, name, (_, given, run) => {
        const failure = fails(true)
        if (failure === undefined) return run(...given)
        if (failure.fault.code === 'EIO') throw new Sqlite.SqliteError('disk I/O error', 'SQLITE_IOERR_WRITE')
        // As SQLite does by itself where the disk is full.
        if (self.inTransaction) self.exec('rollback')
        throw new Sqlite.SqliteError('database or disk is full', 'SQLITE_FULL')
      })
    return statement
  })
}

/** The statement is not sent, but one that fails as PostgreSQL does; a transaction has failed with it. */
function wrapPostgres(): void {
  wrap(Client.prototype, 'query', (_, [query, ...more], original) => {
    const text = typeof query === 'object' && query !== null && 'text' in query ? query.text : query
    const failure = typeof text === 'string' && changing.test(text) ? fails(true) : undefined
    if (failure === undefined) return original(query, ...more)
    const code = failure.fault.code === 'ENOSPC' ? '53100' : '58030'
    const failing = `do $$ begin raise exception 'no room' using errcode = '${code}'; end $$`
    const callback = more.filter((parameter) => typeof parameter === 'function')
    return original(typeof query === 'object' ? { ...query, text: failing, values: [] } : failing, ...callback)
  })
}

wrapPromises()
await wrapFileHandles()
wrapCallbacks()
wrapSynchronous()
wrapSqlite()
wrapPostgres()
syncBuiltinESMExports()
