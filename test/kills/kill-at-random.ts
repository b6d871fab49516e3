import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'vite'
import { createRandom } from '../../src/engine/local/random.ts'
import { times } from '../case-count.ts'
import { onPostgres } from '../postgres/database-at.ts'
import { journalFile, type Life, readJournal } from './journal.ts'

/** How often each save path is killed. PostgreSQL undoes what was cut off by itself, so that fewer will do. */
export const usualKills = times(50, onPostgres ? 15 : 50)

export type KilledProgram = Readonly<{
  /** A file of this folder that calls `savePaths`, by its name without the ending. */
  program: string
  /** What it is given; `folder` is where it keeps what it saves. */
  parametersIn?: (folder: string) => Promise<readonly string[]>
  kills?: number
}>

/** What became of a save path. */
export type Killed = Readonly<{
  /** Saves that came to their end. */
  saved: number
  /** Kills that came in the middle of a save. */
  cut: number
}>

/** A slow round is no fault. */
const longestStartMs = 60_000

/**
 * Has a program save along all of its paths at once, and kills it at random moments. The one that is started next checks what was left, and
 * goes on saving. The moments are spread evenly over the time in which each path saves once; they follow from a seed, which an error names
 * (`KILL_SEED` gives it). Throws what a check has found, and where the kills did not come in the middle of saves.
 */
export async function killAtRandom({ program, parametersIn, kills = usualKills }: KilledProgram): Promise<Map<string, Killed>> {
  const seed = Number(process.env.KILL_SEED ?? randomInt(1_000_000))
  const random = createRandom(seed)
  const folder = await mkdtemp(join(tmpdir(), `simpleia-kills-${program}-`))
  const file = await bundle(program, folder)
  const parameters = (await parametersIn?.(folder)) ?? []
  const start = (life: number, mode: Mode) => startProgram([file, folder, String(life), mode, ...parameters])
  let now = 'before the first kill'
  try {
    const windowMs = await start(0, 'measure').killAfter(undefined)
    for (let kill = 1; kill <= kills; kill += 1) {
      const ms = random() * windowMs
      now = `after kill ${kill - 1}, before the one after ${ms.toFixed(1)} of ${windowMs.toFixed(0)} ms`
      await start(kill, 'save').killAfter(ms)
    }
    now = 'after the last kill'
    await start(kills + 1, 'check').end()
  } catch (error) {
    throw new Error(`${program}, ${now}, with KILL_SEED=${seed}; what was left is in ${folder}`, { cause: error })
  }
  const killed = summarize(readJournal(await readFile(join(folder, journalFile), 'utf8')))
  refuseMissed(killed, kills)
  await rm(folder, { recursive: true, force: true })
  return killed
}

/** `measure`: it says when each path has saved once; `check`: it ends when it has checked. */
type Mode = 'measure' | 'save' | 'check'

/** One file without types: a process that begins with it takes a fifth of the time. */
async function bundle(program: string, folder: string): Promise<string> {
  await symlink(resolve('node_modules'), join(folder, 'node_modules'))
  await build({
    configFile: false,
    logLevel: 'error',
    build: {
      ssr: resolve(`test/kills/${program}.ts`),
      ...{ outDir: folder, emptyOutDir: false, copyPublicDir: false, minify: false, target: 'node24' },
      rolldownOptions: { output: { entryFileNames: `${program}.mjs`, codeSplitting: false } },
    },
    ssr: { noExternal: true, external: ['better-sqlite3', 'pg', 'pg-boss', 'pg-cloudflare', 'pg-native'] },
  })
  return join(folder, `${program}.mjs`)
}

function startProgram(parameters: readonly string[]) {
  const child = spawn(process.execPath, [...parameters], { stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = once(child, 'close')
  let said = ''
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString()
  })
  const guard = setTimeout(() => child.kill('SIGABRT'), longestStartMs)

  /** Resolves with the time when it has said so; undefined: it ended before. */
  const hears = (word: string) =>
    new Promise<number | undefined>((resolve) => {
      const look = () => said.includes(`${word}\n`) && resolve(performance.now())
      child.stdout.on('data', look)
      void closed.then(() => resolve(undefined))
      look()
    })
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })

  async function ends(as: Readonly<{ code: number | null; signal: string | null }>): Promise<void> {
    const [code, signal] = await closed
    clearTimeout(guard)
    if (code !== as.code || signal !== as.signal || complaint !== '')
      throw new Error(`It ended with ${signal ?? `code ${code}`} and said: ${complaint}`)
  }

  return {
    /** Kills it so long after it has begun to save; undefined: once each path has saved. Gives how long that took. */
    async killAfter(ms: number | undefined): Promise<number> {
      const begun = await hears('begun')
      if (ms === undefined) await hears('measured')
      else if (begun !== undefined) await new Promise((resolve) => setTimeout(resolve, ms))
      const took = performance.now() - (begun ?? 0)
      child.kill('SIGKILL')
      await ends({ code: null, signal: 'SIGKILL' })
      return took
    },
    end: () => ends({ code: 0, signal: null }),
  }
}

/** A kill between two saves shows little. */
function refuseMissed(killed: ReadonlyMap<string, Killed>, kills: number): void {
  for (const [path, { saved, cut }] of killed)
    if (cut < kills * 0.9 || saved === 0)
      throw new Error(`${path} was saved ${saved} times, and cut off by ${cut} of ${kills} kills`)
}

function summarize(lives: readonly Life[]): Map<string, Killed> {
  const killed = new Map<string, Killed>()
  for (const { path, saved, cut } of lives) {
    const before = killed.get(path) ?? { saved: 0, cut: 0 }
    killed.set(path, { saved: before.saved + saved.length, cut: before.cut + (cut === undefined ? 0 : 1) })
  }
  return killed
}
