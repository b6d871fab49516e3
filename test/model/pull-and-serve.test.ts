import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startHub } from '../hub.ts'
import { openRealHost } from '../real-host.ts'
import { bodyOf, startServer } from '../server.ts'

type Listed = Readonly<{ name: string; kind: string; state: string; architecture: string }>

async function filesOf(folder: string): Promise<Record<string, Buffer>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return Object.fromEntries(await Promise.all(paths.map(async (path) => [path.slice(folder.length + 1), await readFile(path)])))
}

/** The service beside a hub that has two small repositories of safetensors. */
async function startWorld() {
  const repositories = {
    'acme/tiny-llama': await filesOf('test/fixtures/convert/llama'),
    'acme/tiny-bert': await filesOf('test/fixtures/convert/tiny-bert'),
  }
  const { endpoint } = await startHub({ repositories, small: (path) => !path.endsWith('.safetensors') })
  const { host, modelsDir, remove } = await openRealHost()
  const server = await startServer({ host, settings: { MODELS_DIR: modelsDir, HF_ENDPOINT: endpoint } })
  onTestFinished(async () => {
    await server[Symbol.asyncDispose]()
    await remove()
  })
  const headers = { authorization: `Bearer ${await server.login('root')}`, 'content-type': 'application/json' }
  return {
    server,
    modelsDir,
    async post(path: string, body: object) {
      const response = await fetch(server.url + path, { method: 'POST', headers, body: JSON.stringify(body) })
      return { status: response.status, body: await bodyOf<Record<string, unknown>>(response) }
    },
    models: async () => (await bodyOf<{ models: readonly Listed[] }>(await fetch(`${server.url}/models`))).models,
  }
}

test('a repository of safetensors is downloaded, converted, loaded and answers, by its name on the hub', async () => {
  const { server, modelsDir, post, models } = await startWorld()
  const selected = await post('/model', { model_name: 'acme/tiny-llama' })
  expect(selected).toMatchObject({ status: 200, body: { model_name: 'tiny-llama', loaded: true, architecture: 'llama' } })
  const answer = await bodyOf(await server.predict({ prompt: 'the', max_length: 5, model: 'acme/tiny-llama' }))
  expect(answer).toMatchObject({ model: 'tiny-llama', usage: { completion_tokens: expect.any(Number) } })
  expect((await models()).map(({ name, kind, state }) => [name, kind, state])).toContainEqual(['tiny-llama', 'chat', 'ready'])
  expect(await readdir(modelsDir)).not.toContain('tiny-llama.gguf.part')
})

test('an embedding model is recognised, and refused for answers', async () => {
  const { modelsDir, post, models } = await startWorld()
  expect(await post('/models/pull', { name: 'acme/tiny-bert', stream: false })).toMatchObject({
    status: 200,
    body: { name: 'tiny-bert' },
  })
  expect((await models()).find(({ name }) => name === 'tiny-bert')).toMatchObject({ kind: 'embedding', state: 'unloaded' })
  expect(await post('/model', { model_name: 'tiny-bert' })).toMatchObject({
    status: 400,
    body: { error: { message: expect.stringContaining('embedding model') } },
  })
  const folder = join(modelsDir, '.checkpoints', 'acme', 'tiny-bert')
  expect(await readdir(folder)).toContain('model.onnx')
})

test('what neither this machine nor the hub knows is not found, with what both say', async () => {
  const { post } = await startWorld()
  expect(await post('/model', { model_name: 'acme/nothing' })).toMatchObject({
    status: 404,
    body: { error: { message: expect.stringMatching(/No model is called "acme\/nothing".*hub/) } },
  })
})
