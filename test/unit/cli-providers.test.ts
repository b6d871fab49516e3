import { expect, test } from 'vitest'
import { startServiceWorld } from '../service-world.ts'
import { createCli } from './cli-world.ts'

async function openWorld(variables: Record<string, string> = {}) {
  const world = await startServiceWorld({ file: (usual) => ({ ...usual, routes: { careful: ['hf', 'claude'] } }) })
  await world.login('root')
  const { run } = await createCli({ PORT: String(world.port), ...variables })
  await run('login root', 'root-has-a-long-password\n')
  return { world, run }
}

test('a provider is selected by the command line, which says that what is asked leaves the machine', async () => {
  const { run } = await openWorld()
  expect(await run('models use --provider claude')).toEqual({
    code: 0,
    output: '',
    notes: 'The model is claude-test of the provider claude: what is asked leaves this machine.\n',
  })
  expect((await run('models use qwen-test --provider gpu')).notes).toContain('qwen-test of the provider gpu')
  expect((await run('models use --provider box')).notes).toContain('a server on this machine')
  expect((await run('admin reload')).notes).toContain('llama-test of the provider box')
  expect(await run('models use scripted')).toMatchObject({ code: 0, notes: 'The model is scripted.\n' })
  expect(await run('models use none --provider gpu')).toMatchObject({ code: 1, notes: expect.stringContaining('"none"') })
  expect(await run('models use')).toMatchObject({ code: 2, notes: expect.stringContaining('--provider') })
})

test('the providers are listed, in both languages', async () => {
  const { run } = await openWorld({ LANG: 'es_ES.UTF-8' })
  expect((await run('models providers')).output).toBe(
    [
      'hf\ten esta máquina\t-\ten uso',
      'claude\ten la nube\tclaude-test',
      'openai\ten la nube\tgpt-test',
      'gpu\ten la nube\tqwen-test',
      'box\ten esta máquina\tllama-test',
      'careful\truta',
      '',
    ].join('\n'),
  )
  expect((await run('models use --provider claude')).notes).toContain('sale de esta máquina')
  expect(JSON.parse((await run('models providers --json')).output)).toMatchObject({ routes: ['careful'] })
})
