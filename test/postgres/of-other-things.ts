import { basename } from 'node:path'

type Things = Readonly<{
  /** What the files are about, and why their rows do not matter. */
  why: string
  /** Files of these names, and those whose names go on with a dash. */
  names: readonly string[]
  /** Those of them, by names in the same way, that are about what is kept. */
  but?: readonly string[]
}>

const otherThings: readonly Things[] = [
  {
    why: 'The dialects and the formats on the wire: they are made of answers, whatever keeps these.',
    names: [
      'anthropic',
      'ollama',
      'openai',
      'http',
      'json',
      'sockets',
      'websocket',
      'wire',
      'signed',
      'tool',
      'given',
      'peer',
      'api-docs',
    ],
    but: ['openai-stored'],
  },
  {
    why: 'Answers: the engine is scripted, and rows are written behind it.',
    names: ['engine', 'predict', 'providers', 'rollout-answers', 'lifecycle'],
    but: ['predict-cache'],
  },
  {
    why: 'Clouds and the way out: what is asked of others. What the ledger, conversations and the selection keep of it runs.',
    names: ['cloud', 'clouds', 'user-given'],
    but: ['clouds-choice', 'clouds-conversations', 'clouds-ledger'],
  },
  {
    why: 'Models are files.',
    names: ['models', 'merge', 'pull', 'quantize', 'setup'],
  },
  {
    why: 'Vectors in memory and in files, and what makes them. Collections, and vectors in the database, run.',
    names: ['embed-batches', 'embed-process', 'embed-snapshots', 'embedders', 'embedding', 'vector'],
  },
  {
    why: 'The command line and the pages see the service from outside.',
    names: ['cli', 'client', 'web', 'bench', 'doctor'],
    but: ['cli-backup', 'cli-keys'],
  },
  {
    why: 'Who is let in, and how often: their rows are those of accounts, keys and quotas, which run.',
    names: ['broken', 'key-scopes', 'quota', 'rate', 'security'],
  },
  {
    why: 'Watching: numbers and spans, which are in memory.',
    names: ['metrics', 'tracing', 'watching'],
  },
  {
    why: 'Whole services that are killed or held up: those on PostgreSQL are killed row by row (`kills-rows`), and it is no disk of ours.',
    names: ['kills-service', 'slow'],
  },
]

/** Whether a test is of other things than what the service keeps, so that one database tells as much of it as two. */
export function isOfOtherThings(file: string): boolean {
  const name = basename(file, '.test.ts')
  const isOneOf = (names: readonly string[] = []) => names.some((begin) => name === begin || name.startsWith(`${begin}-`))
  return otherThings.some(({ names, but }) => isOneOf(names) && !isOneOf(but))
}
