import { chmodSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { freemem } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { isLong } from './test/case-count.ts'
import { isOfOtherThings } from './test/postgres/of-other-things.ts'

// Each test has a folder and a database of its own, for a second: in memory where there is room, as a disk would be most of the time.
const memory = '/dev/shm'
if (process.env.TMPDIR === undefined && hasRoom(memory)) {
  const folder = mkdtempSync(join(memory, 'simpleia-tests-'))
  // PostgreSQL reads it as somebody else.
  chmodSync(folder, 0o755)
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  process.env.TMPDIR = folder
}

function hasRoom(folder: string): boolean {
  const enough = 8 * 1024 ** 3
  if (!existsSync(folder)) return false
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize > enough && freemem() > enough
}

/** Tests of PostgreSQL itself. */
const ofPostgres = 'test/unit/postgres-*.test.ts'

/** The unit tests that keep something: they say so by what they start. A long run has those of other things, too. */
const keepSomething = globSync('test/unit/*.test.ts').filter(
  (file) =>
    /startServer|databaseAt|World\(|from '\.\.\/(server|collections-world)/.test(readFileSync(file, 'utf8')) &&
    (isLong || !isOfOtherThings(file)),
)

// unit: scripted engine, no model; postgres: those of them that keep something, on PostgreSQL; replicas: processes behind nginx; model: the real small model; clients: clients of the APIs, with both; web: headless Chromium; tours: the pages on the real model.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'src/**/*.test.ts'],
          exclude: [ofPostgres],
          globalSetup: 'test/web/build-pages.ts',
          testTimeout: 20_000,
          // Vitest leaves one core free, and would use one of two.
          maxWorkers: '100%',
        },
      },
      {
        test: {
          name: 'postgres',
          env: { TEST_ON_POSTGRES: 'true' },
          include: [...keepSomething, ofPostgres, 'test/postgres/**/*.test.ts'],
          globalSetup: ['test/web/build-pages.ts', 'test/postgres/setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: '100%',
        },
      },
      {
        test: {
          name: 'replicas',
          include: ['test/replicas/**/*.test.ts'],
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'model',
          include: ['test/model/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'clients',
          include: ['test/clients/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'web',
          include: ['test/web/**/*.test.ts'],
          globalSetup: 'test/web/build-pages.ts',
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: 'tours',
          include: ['test/tours/**/*.test.ts'],
          globalSetup: 'test/web/build-pages.ts',
          // A real model takes its time.
          expect: { poll: { timeout: 30_000 } },
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
