import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { chmod, link, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../errors.ts'
import { removeLeftBeside, workBeside } from '../storage/beside.ts'
import { makeFolder } from '../storage/make-folder.ts'

const minBytes = 32
/** Fewer different characters than this is a row of the same key, not a secret. */
const minDifferentCharacters = 10
const fileName = 'secret-key'

/** No random text holds these words; examples, templates and shipped defaults do. */
const shippedWords =
  /secret|change.?me|change.?this|password|replace|example|placeholder|default|insecure|simpleia|12345678|abcdefgh/i
/** Random-looking keys printed in tutorials that people paste. */
const publishedKeys = new Set(['09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7'])

export type SecretKeyOptions = Readonly<{
  configured: string | undefined
  dataDir: string
  environment: 'development' | 'production'
}>

/**
 * The key that signs tokens: the configured one, or in development one that is made once and kept in the data folder,
 * readable by this user alone. Throws `invalid` for a missing key in production and for a key that can be guessed,
 * `unavailable` when the folder cannot be used.
 */
export async function openSecretKey({ configured, dataDir, environment }: SecretKeyOptions): Promise<KeyObject> {
  if (configured !== undefined && configured !== '') return toKey(configured, 'Setting SECRET_KEY')
  if (environment === 'production') {
    throw new AppError('invalid', `Setting SECRET_KEY must be set in production: ${howToMakeOne}`)
  }
  const path = join(dataDir, fileName)
  try {
    return toKey(await readOrMake(path, dataDir), `The secret key in ${path}`)
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    const message = `The secret key cannot be kept in ${path} (${String(codeOf(cause))}). Make the folder writable, or set SECRET_KEY.`
    throw new AppError('unavailable', message, { cause })
  }
}

const howToMakeOne = `at least ${minBytes} random bytes, for example from "openssl rand -base64 48".`

function toKey(secret: string, subject: string): KeyObject {
  const bytes = Buffer.from(secret, 'utf8')
  if (bytes.length < minBytes) {
    throw new AppError('invalid', `${subject} is too short with ${bytes.length} bytes. It must be ${howToMakeOne}`)
  }
  if (new Set(secret).size < minDifferentCharacters || shippedWords.test(secret) || publishedKeys.has(secret.toLowerCase())) {
    throw new AppError('invalid', `${subject} is a text that others know or guess. It must be ${howToMakeOne}`)
  }
  return createSecretKey(bytes)
}

async function readOrMake(path: string, dataDir: string): Promise<string> {
  const kept = await findKept(path)
  if (kept === undefined) return make(path, dataDir)
  // A start that was killed may have left a second name of it.
  await removeLeftBeside(path)
  return kept
}

async function findKept(path: string): Promise<string | undefined> {
  try {
    const kept = await readFile(path, 'utf8')
    await chmod(path, 0o600)
    return kept.trim()
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Written beside and linked into place: the file is never half there, and of two processes the first wins. */
async function make(path: string, dataDir: string): Promise<string> {
  makeFolder(dataDir, 0o700)
  const secret = randomBytes(48).toString('base64url')
  // A name that no backup takes: it holds the key as long as it is there.
  return workBeside(path, async (draft) => {
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(secret)
      await file.sync()
    } finally {
      await file.close()
    }
    try {
      await link(draft, path)
      return secret
    } catch (error) {
      const other = codeOf(error) === 'EEXIST' ? await findKept(path) : undefined
      if (other === undefined) throw error
      return other
    }
  })
}

/** What the system says. */
function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error && error.code
}
