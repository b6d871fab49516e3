import { createHash } from 'node:crypto'
import { copyFile, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { runProgram } from '../../src/cli/run-program.ts'
import { AppError } from '../../src/errors.ts'
import type { Run } from '../../src/models/package-download.ts'
import { isSameSource } from '../../src/rag/evaluate.ts'
import { parseQuestions } from '../../src/rag/question-set.ts'

/** The help of LibreOffice as Debian packages it, one package a language, with pages of the same names (licence: MPL-2.0). */
const languages = { 'en-us': 'en-US', es: 'es' } as const
type Language = keyof typeof languages

export type Corpus = Readonly<{ folder: string; version: string; pages: readonly string[]; sha256: string }>

/**
 * Fetches the package with apt, and lays its pages out as files in `cache/documents-LANGUAGE`, beside their licence. No code of the
 * package runs. Throws `unavailable` where apt cannot get it (no Debian, or no list of packages yet: apt-get update).
 */
export async function fetchCorpus(options: Readonly<{ cache: string; language: Language; run: Run }>): Promise<Corpus> {
  const { cache, language, run } = options
  const name = `libreoffice-help-${language}`
  const work = join(cache, `${name}.part`)
  await rm(work, { recursive: true, force: true })
  await mkdir(join(work, 'documents'), { recursive: true })
  // apt writes into the folder in which it runs.
  await runOrThrow(run, 'sh', ['-c', 'cd "$1" && apt-get -q download "$2"', 'sh', work, name])
  const archive = (await readdir(work)).find((file) => file.endsWith('.deb')) ?? ''
  await runOrThrow(run, 'dpkg-deb', ['-x', join(work, archive), join(work, 'unpacked')])
  const version = (await runOrThrow(run, 'dpkg-deb', ['-f', join(work, archive), 'Version'])).trim()
  const shared = join(work, 'unpacked/usr/share')
  const pages = await layOut(join(shared, 'libreoffice/help', languages[language], 'text'), join(work, 'documents'))
  await copyFile(join(shared, 'doc', name, 'copyright'), join(cache, `${name}.copyright`))
  const folder = join(cache, `documents-${language}`)
  await rm(folder, { recursive: true, force: true })
  await rename(join(work, 'documents'), folder)
  await rm(work, { recursive: true })
  return { folder, version, pages, sha256: await hashPages(folder, pages) }
}

/** All pages in one folder, under their path with "_" for "/": `scalc/guide/borders.html` is `scalc_guide_borders.html`. */
async function layOut(from: string, to: string): Promise<readonly string[]> {
  const files = (await readdir(from, { recursive: true })).filter((file) => file.endsWith('.html')).sort()
  const pages = files.map((file) => file.replaceAll('/', '_'))
  for (const [index, file] of files.entries()) await copyFile(join(from, file), join(to, pages[index] ?? file))
  return pages
}

async function hashPages(folder: string, pages: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const page of pages) hash.update(await readFile(join(folder, page)))
  return hash.digest('hex')
}

async function runOrThrow(run: Run, command: string, args: readonly string[]): Promise<string> {
  const { code, output } = await run(command, args)
  if (code !== 0) throw new AppError('unavailable', `${command} failed (${output.trim().split('\n').at(-1) ?? ''}).`)
  return output
}

/** The documents that a question set names and the corpus lacks. */
export async function findMissing(questionFile: string, pages: readonly string[]): Promise<readonly string[]> {
  const named = parseQuestions(await readFile(questionFile, 'utf8')).flatMap(({ relevant }) => relevant)
  return [...new Set(named)].filter((name) => !pages.some((page) => isSameSource(page, name)))
}

if (import.meta.main) {
  const [given = 'en-us'] = process.argv.slice(2)
  const language = given === 'en-us' || given === 'es' ? given : undefined
  if (language === undefined) throw new AppError('invalid', `The language must be en-us or es, but is "${given}".`)
  const corpus = await fetchCorpus({ cache: '.cache/rag', language, run: runProgram })
  const missing = await findMissing(join(import.meta.dirname, 'libreoffice-help.questions.jsonl'), corpus.pages)
  console.log(`${corpus.pages.length} pages of libreoffice-help-${language} ${corpus.version} are in ${corpus.folder}`)
  console.log(`SHA-256 of all of them: ${corpus.sha256}`)
  if (missing.length > 0) console.log(`The questions name ${missing.length} pages that are not there: ${missing.join(', ')}`)
}
