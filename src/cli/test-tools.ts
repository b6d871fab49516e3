import { access, readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { Run } from '../models/package-download.ts'
import { type Context, writeLine } from './context.ts'

export type Screen = Pick<Context, 'environment' | 'say' | 'terminal'>
export type InstallParts = Readonly<{
  /** The checkout. */
  root: string
  run: Run
  isRoot: boolean
}>

/** Debian's packages of programs. */
const packageOf = {
  'chromium-headless-shell': 'chromium-headless-shell',
  nginx: 'nginx',
  'redis-server': 'redis-server',
  promtool: 'prometheus',
}

/** Programs that some tests run against. Only a build machine's root user gets them installed. */
export async function installPrograms({ environment, say, terminal }: Screen, { run, isRoot }: InstallParts): Promise<void> {
  const missing: string[] = []
  for (const [program, name] of Object.entries(packageOf)) if (!(await isOnPath(program, environment.PATH))) missing.push(name)
  const mayInstall = environment.CI && isRoot && (await isOnPath('apt-get', environment.PATH))
  if (missing.length === 0 || !mayInstall) return
  const what = missing.join(', ')
  writeLine(terminal.notes, say('testPrepare', { what }))
  const steps = [
    ['update', '-qq'],
    ['install', '-y', '-qq', '--no-install-recommends', ...missing],
  ]
  for (const step of steps) {
    const { code } = await run('apt-get', step)
    if (code !== 0) return writeLine(terminal.notes, say('testNoPackages', { what }))
  }
}

/** The Python clients that tests ask the service with, in a virtual environment inside the checkout. Takes half a minute. */
export async function installPythonClients({ environment, say, terminal }: Screen, { root, run }: InstallParts): Promise<void> {
  const folder = join(root, '.cache', 'python')
  const required = join('test', 'clients', 'requirements.txt')
  // What was installed, kept beside it, so that new versions are installed, too.
  const installed = join(folder, 'requirements.txt')
  const wanted = await readFile(join(root, required), 'utf8')
  const present = await readFile(installed, 'utf8').catch(() => undefined)
  if (present === wanted || !environment.CI) return
  const what = `${required} (Python)`
  writeLine(terminal.notes, say('testPrepare', { what }))
  for (const [program, ...args] of [
    ['python3', '-m', 'venv', folder],
    [join(folder, 'bin', 'python'), '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', join(root, required)],
  ] as const) {
    const { code } = await run(program, args)
    if (code !== 0) return writeLine(terminal.notes, say('testNoPackages', { what }))
  }
  await writeFile(installed, wanted)
}

async function isOnPath(name: string, path = ''): Promise<boolean> {
  const folders = [...path.split(delimiter), '/usr/sbin']
  const found = await Promise.all(
    folders.map((folder) =>
      access(join(folder, name)).then(
        () => true,
        () => false,
      ),
    ),
  )
  return found.includes(true)
}
