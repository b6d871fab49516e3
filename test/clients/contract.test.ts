import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CallerName, type ContractWorld, callers, openContractWorld } from './contract-world.ts'
import { hasPython, python, pythonEnvironment } from './python.ts'

/** Requests made of each endpoint in each phase. By hand, for a long time: CONTRACT_EXAMPLES=100 CONTRACT_PHASES=examples,coverage,fuzzing,stateful */
const usualExamples = { nobody: 1, key: 1, user: 1, admin: 3 } as const
const { CONTRACT_EXAMPLES: examples, CONTRACT_PHASES: phases = 'examples,fuzzing', CONTRACT_SEED: seed = '1' } = process.env
const minutes = examples === undefined ? 4 : 120

/**
 * What may end what a caller is known by, when a request names the caller by chance: each is tried in runs of its own, by who does not need it
 * any more. All else is tried together.
 */
const lastOperations = [
  ['patchAdminUsersId', 'deleteAdminUsersId'],
  ['deleteAuthSessions', 'deleteAuthSessionsId'],
  ['deleteAdminUsersIdSessions'],
  ['postAuthLogout'],
] as const

let world: ContractWorld
let folder: string
beforeAll(async () => {
  world = await openContractWorld()
  folder = await mkdtemp(join(tmpdir(), 'simpleia-contract-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true })
  await world[Symbol.asyncDispose]()
})

async function run(...parts: readonly string[]): Promise<Readonly<{ code: number | null; said: string }>> {
  const child = spawn(resolve(python), ['-B', '-m', ...parts], {
    // It keeps what it has found in its folder.
    cwd: folder,
    env: pythonEnvironment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [said, problems] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { code: child.exitCode, said: said + problems }
}

async function tryAs(caller: CallerName, ...filters: readonly string[]): Promise<void> {
  const authorization = world.authorizationOf(caller)
  const { code, said } = await run(
    ...['schemathesis.cli', '--config-file', resolve('test/clients/schemathesis.toml')],
    ...['run', `${world.url}/openapi.json`, '--phases', phases, '--seed', seed, '--no-color'],
    ...['--max-examples', examples ?? String(usualExamples[caller])],
    ...['--generation-database', 'none', '--report-dir', folder],
    ...(authorization === undefined ? [] : ['--header', `Authorization: ${authorization}`]),
    ...filters,
  )
  expect(code, said.slice(-20_000)).toBe(0)
}

// Where CI is set it must be there.
describe.skipIf(!hasPython && !process.env.CI)('the API description', () => {
  test('is one by the rules of OpenAPI 3.1', async () => {
    const file = join(folder, 'openapi.json')
    await writeFile(file, await (await fetch(`${world.url}/openapi.json`)).text())
    const { code, said } = await run('openapi_spec_validator', '--schema', '3.1', file)
    expect(code, said).toBe(0)
  })

  test.each(callers)(
    'holds for requests of every kind to every endpoint, made as %s',
    async (caller) => {
      await tryAs(caller, ...lastOperations.flat().flatMap((id) => ['--exclude-operation-id', id]))
      // Else all that came last was refused, and nothing was tried.
      if (caller !== 'nobody') expect(await world.isKnown(caller)).toBe(true)
    },
    minutes * 60_000,
  )

  test.each(lastOperations.map((ids) => ({ ids })))('holds for what may end a login: $ids', async ({ ids }) => {
    await tryAs('admin', ...ids.flatMap((id) => ['--include-operation-id', id]))
  })
})
