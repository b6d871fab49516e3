import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { docsMessages } from '../../src/cli/docs-messages.ts'
import { keepInStep } from '../../src/cli/docs-sync.ts'
import { makeScan } from '../document-files.ts'
import { createServedCli } from './cli-world.ts'

const password = 'Secret-pass-123456'

async function createDocsCli(variables: Record<string, string> = {}) {
  const cli = await createServedCli(variables)
  await cli.run('login ana --register', `${password}\n`)
  const folder = join(cli.home, 'papers')
  await mkdir(join(folder, 'deep'), { recursive: true })
  const write = (name: string, content: string | Uint8Array) => writeFile(join(folder, name), content)
  const list = async () =>
    JSON.parse((await cli.run('docs list --json')).output) as Array<{ id: string; source: string; name: string }>
  return { ...cli, folder, write, list, names: async () => (await list()).map(({ source }) => source.slice(folder.length + 1)) }
}

test('a folder is taken with those in it, without what is hidden or no document', async () => {
  const { run, folder, write, names, list } = await createDocsCli()
  await mkdir(join(folder, 'node_modules'))
  await mkdir(join(folder, '.git'))
  await write('a.md', '# Anchors\n\nThey weigh nine kilos.')
  await write('deep/b.txt', 'Five people sail her.')
  for (const name of ['node_modules/c.md', '.git/d.md', '.e.md', 'photo.jpg']) await write(name, 'x')
  const { code, notes } = await run(`docs add ${folder}`)
  expect({ code, notes }).toEqual({
    code: 0,
    notes: expect.stringContaining('2 taken, 0 unchanged, 0 duplicates, 0 removed, 0 failed.'),
  })
  expect(await names()).toEqual(['a.md', 'deep/b.txt'])
  const [first] = await list()
  const shown = await run(`docs show ${first?.id}`)
  expect(shown.output).toMatch(/Anchors.*\n\n\[#0 · Anchors\]\nAnchors\n\nThey weigh nine kilos\.\n$/)
  expect((await run(`docs remove ${first?.id}`)).notes).toBe('Anchors: removed\n')
  expect((await run(`docs show ${first?.id}`)).code).toBe(1)
})

test('a bad file is told, and the others are taken all the same', async () => {
  const { run, folder, write, names } = await createDocsCli({ LANG: 'es_ES.UTF-8' })
  await write('a.pdf', makeScan())
  await write('b.txt', 'Bien.')
  const { code, notes } = await run(`docs add ${folder}`)
  expect(code).toBe(1)
  expect(notes).toMatch(
    /a\.pdf: falló\. No se puede usar lo que se envió\.\nEl servicio dice \(en inglés\): .*OCR.*\n.*b\.txt: añadido, 1 fragmentos\n1 incorporados.* 1 con error/,
  )
  expect(await names()).toEqual(['b.txt'])
})

test('syncing sends what is new or changed and removes what vanished', async () => {
  const { run, folder, write, names } = await createDocsCli()
  await write('a.txt', 'First.')
  await write('b.txt', 'Second.')
  await write('c.txt', 'Third.')
  expect((await run(`docs sync ${folder}`)).notes).toContain('3 taken, 0 unchanged, 0 duplicates, 0 removed')
  expect((await run(`docs sync ${folder}`)).notes).toContain('0 taken, 3 unchanged, 0 duplicates, 0 removed')
  await write('a.txt', 'First, in a new version.')
  await rm(join(folder, 'b.txt'))
  await rename(join(folder, 'c.txt'), join(folder, 'moved.txt'))
  const { notes } = await run(`docs sync ${folder}`)
  expect(notes).toContain('a.txt: replaced')
  expect(notes).toContain('2 taken, 0 unchanged, 0 duplicates, 2 removed')
  expect((await names()).sort()).toEqual(['a.txt', 'moved.txt'])
})

test('a copy of a file that changes in the same sync keeps its text', async () => {
  const { run, folder, write, names } = await createDocsCli()
  await write('a.txt', 'The same.')
  await write('b.txt', 'The same.')
  await run(`docs add ${folder}/b.txt`)
  expect((await run(`docs sync ${folder}`)).notes).toContain('0 taken, 1 unchanged, 1 duplicates, 0 removed')
  await write('b.txt', 'Something else.')
  expect((await run(`docs sync ${folder}`)).notes).toContain('2 taken, 0 unchanged, 0 duplicates, 0 removed')
  expect(await names()).toEqual(['b.txt', 'a.txt'])
})

test('a folder that has become empty empties no collection', async () => {
  const { run, folder, write, names } = await createDocsCli()
  await write('a.txt', 'First.')
  await run(`docs sync ${folder}`)
  await rm(join(folder, 'a.txt'))
  expect(await run(`docs sync ${folder}`)).toMatchObject({ code: 1, notes: expect.stringContaining('nothing was removed') })
  expect(await names()).toEqual(['a.txt'])
})

test.each([
  ['docs add', 2],
  ['docs add /no/such/file', 1],
  ['docs sync /no/such/folder', 1],
  ['docs add x --chunk-tokens many', 1],
  ['docs show no-such-id', 1],
  ['docs add http://127.0.0.1/', 1],
])('%s fails with a reason', async (line, expected) => {
  const { run } = await createDocsCli()
  const { code, notes } = await run(line)
  expect(code).toBe(expected)
  expect(notes).not.toBe('')
})

test('several words are several documents, in a collection of that name', async () => {
  const { run, folder, write } = await createDocsCli()
  await write('a.txt', 'First.')
  await write('b.txt', 'Second.')
  await run(`docs add ${folder}/a.txt ${folder}/b.txt --collection boats`)
  expect((await run('docs list --collection boats')).output.split('\n')).toHaveLength(3)
  expect(await run('docs')).toMatchObject({ code: 0, notes: 'There are no documents.\n' })
})

test('changes that come together are one sync, and those during a sync another', async () => {
  const gone = new AbortController()
  let send: (change: string) => void = () => {}
  const changes = new ReadableStream<string>({
    start(controller) {
      send = (change) => controller.enqueue(change)
      gone.signal.addEventListener('abort', () => controller.close())
    },
  })
  const syncs: number[] = []
  const settled = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const sync = async () => {
    syncs.push(syncs.length)
    if (syncs.length === 1) send('while the first one runs')
  }
  const keeping = keepInStep({
    changes,
    settle: () => settled[syncs.length]?.promise ?? Promise.resolve(),
    sync,
    signal: gone.signal,
  })
  send('one')
  send('two')
  for (let turn = 0; turn < 5; turn += 1) await setImmediate()
  expect(syncs).toHaveLength(0)
  settled[0]?.resolve()
  settled[1]?.resolve()
  for (let turn = 0; turn < 10; turn += 1) await setImmediate()
  expect(syncs).toHaveLength(2)
  gone.abort()
  await keeping
})

test('both languages have the same places in each text', () => {
  for (const { en, es } of Object.values(docsMessages)) {
    const places = (text: string) => (text.match(/\{\w+\}/g) ?? []).sort()
    expect(places(es)).toEqual(places(en))
  }
})
