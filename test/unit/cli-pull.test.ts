import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Context } from '../../src/cli/context.ts'
import { speak } from '../../src/cli/messages.ts'
import { pullModel } from '../../src/cli/pull.ts'
import { startHub } from '../hub.ts'
import { createCli, createServedCli } from './cli-world.ts'
import { content, file, repository } from './pull-world.ts'

const password = 'a-long-password-of-ana'

const startOneModel = () => startHub({ repositories: { [repository]: { [file]: content } } })

test('without a service a model is pulled into the folder, and shown by its hub name', async () => {
  const hub = await startOneModel()
  const { run, home } = await createCli({ PORT: '9', HF_ENDPOINT: hub.endpoint })
  const { code, notes } = await run(`models pull ${repository}`)
  expect({ code, notes }).toMatchObject({
    code: 0,
    notes: expect.stringMatching(/293 KB \(100 %\).*\n.*Checking.*\n.*is installed/),
  })
  expect((await readFile(join(home, 'models', file))).equals(content)).toBe(true)
  expect((await run('models')).output).toBe('Some-Model-Q4_K_M\t293 KB\n')
  expect(JSON.parse((await run(`models show ${repository} --json`)).output)).toMatchObject({
    name: 'Some-Model-Q4_K_M',
    from: `hf:${repository}/${file}`,
  })
  expect(await run('models remove Some-Model-Q4_K_M')).toMatchObject({
    code: 0,
    notes: 'The model Some-Model-Q4_K_M is removed.\n',
  })
  expect(await readdir(join(home, 'models'))).toEqual([])
})

test('an admin pulls through the service that runs, into its folder', async () => {
  const hub = await startOneModel()
  const { run, home, server } = await createServedCli({
    HF_ENDPOINT: 'http://127.0.0.1:9',
    service: { HF_ENDPOINT: hub.endpoint },
  })
  await run('login ana --register', `${password}\n`)
  expect(await run(`models pull ${repository}`)).toMatchObject({
    code: 0,
    notes: expect.stringContaining('Some-Model-Q4_K_M is installed'),
  })
  expect(await readdir(join(server.dataDir, 'models'))).toEqual([file, `${file}.sha256`])
  expect(await readdir(join(home, 'models')).catch(() => [])).toEqual([])
  expect((await run('models remove Some-Model-Q4_K_M')).code).toBe(0)
  await writeFile(join(server.dataDir, 'models', 'small.gguf'), 'GGUF')
  expect(await run('models remove small')).toMatchObject({ code: 1, notes: expect.stringContaining('in use') })
})

test('what the hub or the disk refuses is told in the language of the person', async () => {
  const hub = await startOneModel()
  const { run } = await createCli({ PORT: '9', HF_ENDPOINT: hub.endpoint, LANG: 'es_ES.UTF-8' })
  expect(await run('models pull owner/nothing')).toMatchObject({
    code: 1,
    notes: expect.stringMatching(/Eso no existe\.\nEl servicio dice \(en inglés\): .*owner\/nothing/),
  })
  expect((await run('models pull ../../etc/passwd')).code).toBe(1)
  expect((await run('models pull')).code).toBe(2)
  expect((await run('models remove nothing')).code).toBe(1)
})

test('Ctrl-C keeps what has arrived, and says how to go on', async () => {
  const hub = await startOneModel()
  const { environment, home } = await createCli({ PORT: '9', HF_ENDPOINT: hub.endpoint })
  await mkdir(join(home, 'models'))
  const stop = new AbortController()
  hub.onBytes(() => stop.abort())
  let notes = ''
  const terminal = { notes: { write: (text: string) => (notes += text) } }
  const context = {
    words: [repository],
    settings: {},
    environment,
    language: 'en',
    say: speak('en'),
    terminal,
    fetch: globalThis.fetch,
  }
  // Only what the command uses of its context is there.
  expect(await pullModel(context as unknown as Context, { signal: stop.signal })).toBe(130)
  expect(notes).toContain(`What has arrived is kept: "./run_llm.sh models pull ${repository}" goes on`)
  expect(await readdir(join(home, 'models'))).toEqual([`${file}.part`, `${file}.part.json`])
})
