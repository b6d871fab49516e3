import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Context, configOf } from './context.ts'
import { installDeployTools } from './deploy-tools.ts'
import { preparePages, prepareTestModels } from './prepare.ts'
import { runInTerminal, runProgram } from './run-program.ts'
import { installPrograms, installPythonClients } from './test-tools.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** `test`: gets what the tests need, then runs lint, types and all tests; gives the exit code of the first that fails. With `--prepare` it runs nothing. */
export async function runTests(context: Context): Promise<number> {
  process.chdir(root)
  const parts = { root, run: runProgram, isRoot: process.getuid?.() === 0 }
  await installPrograms(context, parts)
  await installPythonClients(context, parts)
  await installDeployTools(context, parts)
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
