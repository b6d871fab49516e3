import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import Type from 'typebox'
import { Value } from 'typebox/value'
import type { Environment } from '../config.ts'
import { isSystemError, toDiskError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { replaceFile } from '../storage/replace-file.ts'
import type { Say } from './messages.ts'

type Place = Readonly<{ environment: Environment; say: Say }>

/** By the address of the service. */
const credentialsFile = Type.Record(Type.String(), Type.Object({ token: Type.String() }))

export function credentialsPath({ XDG_CONFIG_HOME, HOME }: Environment): string {
  return join(XDG_CONFIG_HOME || join(HOME || homedir(), '.config'), 'simpleia', 'credentials.json')
}

export async function findToken(place: Place, baseUrl: string): Promise<string | undefined> {
  return (await readAll(place))[baseUrl]?.token
}

/** Keeps the token of a login, readable by this user alone; undefined forgets it. */
export async function saveToken(place: Place, baseUrl: string, token: string | undefined): Promise<void> {
  const path = credentialsPath(place.environment)
  const { [baseUrl]: _, ...others } = await readAll(place)
  const all = token === undefined ? others : { ...others, [baseUrl]: { token } }
  try {
    await replaceFile(path, `${JSON.stringify(all, null, 2)}\n`, { folderMode: 0o700, mode: 0o600 })
  } catch (error) {
    throw toDiskError(error, dirname(path))
  }
}

async function readAll({ environment, say }: Place): Promise<Readonly<Record<string, Readonly<{ token: string }>>>> {
  const file = credentialsPath(environment)
  const damaged = (cause?: unknown) => new AppError('invalid', say('badCredentialsFile', { file }), { cause })
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return '{}'
    throw damaged(error)
  })
  const content = parse(text)
  if (!Value.Check(credentialsFile, content)) throw damaged()
  return content
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
