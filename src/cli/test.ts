import { access, readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Context, configOf, writeLine } from './context.ts'
import { installDeployTools } from './deploy-tools.ts'
import { preparePages, prepareTestModels } from './prepare.ts'
import { runInTerminal, runProgram } from './run-program.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** `test`: gets what the tests need, then runs lint, types and all tests; gives the exit code of the first that fails. With `--prepare` it runs nothing. */
export async function runTests(context: Context): Promise<number> {
  process.chdir(root)
  await installPrograms(context)
  await installPythonClients(context)
  await installDeployTools(context, join('.cache', 'python', 'bin', 'python'))
  await prepareTestModels(context, configOf(context, { serves: false }))
  await preparePages(context)
  if (context.flags.has('prepare')) return 0
  for (const [program, ...args] of [
    ['@biomejs/biome/bin/biome', 'check', '.'],
    ['@typescript/native/bin/tsc'],
    ['svelte-check/bin/svelte-check', '--workspace', 'web', '--tsconfig', 'tsconfig.json', '--fail-on-warnings'],
    ['vitest/vitest.mjs', 'run'],
  ] as const) {
    const code = await runInTerminal(process.execPath, [join(root, 'node_modules', program), ...args])
    if (code !== 0) return code
  }
  return 0
}

/** Debian's packages of programs. */
const packageOf = {
  'chromium-headless-shell': 'chromium-headless-shell',
  nginx: 'nginx',
  'redis-server': 'redis-server',
  promtool: 'prometheus',
}

/** Programs that some tests run against. Only a build machine's root user gets them installed. */
async function installPrograms({ environment, say, terminal }: Context): Promise<void> {
  const missing: string[] = []
  for (const [program, name] of Object.entries(packageOf)) if (!(await isOnPath(program, environment.PATH))) missing.push(name)
  const mayInstall = environment.CI && process.getuid?.() === 0 && (await isOnPath('apt-get', environment.PATH))
  if (missing.length === 0 || !mayInstall) return
  const what = missing.join(', ')
  writeLine(terminal.notes, say('testPrepare', { what }))
  const steps = [
    ['update', '-qq'],
    ['install', '-y', '-qq', '--no-install-recommends', ...missing],
  ]
  for (const step of steps) {
    const { code } = await runProgram('apt-get', step)
    if (code !== 0) return writeLine(terminal.notes, say('testNoPackages', { what }))
  }
}

/** The Python clients that tests ask the service with, in a virtual environment inside the checkout. Takes half a minute. */
async function installPythonClients({ environment, say, terminal }: Context): Promise<void> {
  const folder = join('.cache', 'python')
  const required = join('test', 'clients', 'requirements.txt')
  // What was installed, kept beside it, so that new versions are installed, too.
  const installed = join(folder, 'requirements.txt')
  const wanted = await readFile(required, 'utf8')
  const present = await readFile(installed, 'utf8').catch(() => undefined)
  if (present === wanted || !environment.CI) return
  const what = `${required} (Python)`
  writeLine(terminal.notes, say('testPrepare', { what }))
  for (const [program, ...args] of [
    ['python3', '-m', 'venv', folder],
    [join(folder, 'bin', 'python'), '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', required],
  ] as const) {
    const { code } = await runProgram(program, args)
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
