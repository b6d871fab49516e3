import { argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { AppError } from '../errors.ts'

export type Argon2Parameters = Readonly<{ memoryKib: number; passes: number; parallelism: number }>

/** Makes the key of a password; the expensive part. */
export type DeriveKey = (password: string, salt: Buffer, parameters: Argon2Parameters) => Promise<Buffer>

export interface Passwords {
  /** A PHC text: algorithm, parameters, salt and key, all that a later check needs. Throws `busy`. */
  hash(password: string): Promise<string>
  /** With no hash (an unknown user) the same work is done, so that its time tells nothing. Throws `busy`. */
  verify(password: string, hash: string | undefined): Promise<boolean>
}

/** OWASP's choice for argon2id: each computation takes 19 MiB. */
export const owaspParameters: Argon2Parameters = Object.freeze({ memoryKib: 19_456, passes: 2, parallelism: 1 })

const saltBytes = 16
const keyBytes = 32

export type PasswordOptions = Readonly<{
  parameters?: Argon2Parameters
  /** Computations at the same time: bounds memory, and leaves threads of the pool to files. */
  maxConcurrent?: number
  /** Waiting computations; past them `busy`. */
  maxWaiting?: number
  deriveKey?: DeriveKey
}>

export function createPasswords({
  parameters = owaspParameters,
  maxConcurrent = 2,
  maxWaiting = 200,
  deriveKey = argon2id,
}: PasswordOptions = {}): Passwords {
  const inTurn = createTurns(maxConcurrent, maxWaiting)
  const nobody: PasswordHash = { parameters, salt: randomBytes(saltBytes), key: randomBytes(keyBytes) }

  return {
    async hash(password) {
      const salt = randomBytes(saltBytes)
      const key = await inTurn(() => deriveKey(normalize(password), salt, parameters))
      return format({ parameters, salt, key })
    },
    async verify(password, hash) {
      const stored = hash === undefined ? undefined : parse(hash)
      const { parameters: its, salt, key } = stored ?? nobody
      const candidate = await inTurn(() => deriveKey(normalize(password), salt, its))
      const equal = candidate.length === key.length && timingSafeEqual(candidate, key)
      return equal && stored !== undefined
    },
  }
}

// A keyboard may send "ñ" as one character or as two; both are the same password.
const normalize = (password: string) => password.normalize('NFKC')

const compute = promisify(argon2)
const argon2id: DeriveKey = (password, salt, { memoryKib, passes, parallelism }) =>
  compute('argon2id', { message: password, nonce: salt, memory: memoryKib, passes, parallelism, tagLength: keyBytes })

type PasswordHash = Readonly<{ parameters: Argon2Parameters; salt: Buffer; key: Buffer }>

const phcPattern = /^\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,4}),p=(\d{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/

function format({ parameters, salt, key }: PasswordHash): string {
  const { memoryKib, passes, parallelism } = parameters
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${parallelism}$${base64(salt)}$${base64(key)}`
}

const base64 = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '')

function parse(phc: string): PasswordHash | undefined {
  const [, memoryKib, passes, parallelism, salt, key] = phcPattern.exec(phc) ?? []
  if (salt === undefined || key === undefined) return undefined
  return {
    parameters: { memoryKib: Number(memoryKib), passes: Number(passes), parallelism: Number(parallelism) },
    salt: Buffer.from(salt, 'base64'),
    key: Buffer.from(key, 'base64'),
  }
}

function createTurns(maxConcurrent: number, maxWaiting: number) {
  const waiting: Array<() => void> = []
  let running = 0

  async function turn(): Promise<void> {
    if (running < maxConcurrent) {
      running++
      return
    }
    if (waiting.length >= maxWaiting) {
      throw new AppError('busy', `${maxWaiting} logins wait already. Try again shortly.`, { retryAfterSeconds: 1 })
    }
    // Who ends hands its place over, so `running` stays as it is.
    await new Promise<void>((resolve) => waiting.push(resolve))
  }

  return async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    await turn()
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) running--
      else next()
    }
  }
}
