import { AppError } from '../errors.ts'

/**
 * Turns what PostgreSQL or the way to it reports into an error that says what to do; it never holds the address, in which there may be a
 * password. What is not about the state of the database comes back as it was.
 */
export function toPostgresError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const found = explanations.find(
    ({ codes, message }) => codes.some((one) => code.startsWith(one)) || message?.test(error.message),
  )
  if (found === undefined) return error
  const { as, says, retryAfterSeconds } = found
  return new AppError(as, code === '' ? says : `${says} (${code})`, {
    cause: error,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  })
}

/** Whether a statement was given up because nobody answered. */
export const isTimeout = (error: unknown): boolean => error instanceof Error && error.message === 'Query read timeout'

type Explanation = Readonly<{
  /** How the codes begin: https://www.postgresql.org/docs/current/errcodes-appendix.html, or those of the system. */
  codes: readonly string[]
  /** For what comes without a code. */
  message?: RegExp
  as: AppError['code']
  says: string
  retryAfterSeconds?: number
}>

/** How Node.js calls what is wrong with a certificate. */
const tlsCodes = ['DEPTH_ZERO', 'SELF_SIGNED', 'UNABLE_TO_', 'CERT_', 'ERR_TLS', 'ERR_SSL', 'HOSTNAME_MISMATCH', 'EPROTO']

const explanations: readonly Explanation[] = [
  {
    codes: ['53100', '53200', 'ENOSPC'],
    as: 'storage_full',
    says: 'The disk or memory of the database is full. Free some space; nothing stored was lost.',
  },
  {
    codes: ['55P03', '40001', '40P01', '57014'],
    as: 'busy',
    says: 'The database is busy with other work. Try again shortly.',
    retryAfterSeconds: 1,
  },
  {
    codes: ['53300', '53'],
    as: 'busy',
    says: 'The database has no connection left. Try again shortly; if this lasts, raise its max_connections.',
    retryAfterSeconds: 1,
  },
  {
    codes: [],
    // All connections of this process are in use, and nobody gave one back.
    message: /^timeout exceeded when trying to connect/,
    as: 'busy',
    says: 'The database has more to do than it can. Try again shortly.',
    retryAfterSeconds: 1,
  },
  {
    codes: ['58', 'XX001', 'XX002'],
    as: 'unavailable',
    says: 'The database has a fault in its files or its disk. Look at its own log before anything else is written.',
  },
  {
    codes: ['28', '3D000', '42501'],
    as: 'unavailable',
    says: 'The database refuses its user, or there is none of that name. Check DATABASE_URL and the rights of its user.',
  },
  {
    codes: [],
    message: /^SASL\b.*password must be/,
    as: 'unavailable',
    says: 'The database asks for a password, and none is given. Put it into DATABASE_URL, or into PGPASSWORD.',
    retryAfterSeconds: 2,
  },
  {
    codes: tlsCodes,
    message: /^The server does not support SSL connections/,
    as: 'unavailable',
    says: 'The way to the database is not as safe as it was asked for: its certificate is not trusted, or it has none. Check sslmode in DATABASE_URL, and NODE_EXTRA_CA_CERTS for authorities of your own.',
    retryAfterSeconds: 2,
  },
  {
    codes: ['25006'],
    as: 'unavailable',
    says: 'The database can only be read now, as a standby can. Point DATABASE_URL at the one that can be written.',
    retryAfterSeconds: 2,
  },
  {
    codes: ['08', '57P', 'ECONN', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EPIPE', 'ENOENT'],
    message:
      /Connection terminated|Query read timeout|Client has encountered a connection error|Client was closed|has been discarded/,
    as: 'unavailable',
    says: 'The database cannot be reached. It is tried again with the next request; if this lasts, check DATABASE_URL and the database.',
    retryAfterSeconds: 1,
  },
]
