import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { replaceFolder } from '../../src/storage/replace-folder.ts'
import { endedPid } from '../ended-process.ts'
import { openFolder } from '../temp-folder.ts'

const holding = (text: string) => async (beside: string) => {
  await mkdir(beside)
  await writeFile(join(beside, 'a.txt'), text)
}

test('a folder is replaced as a whole, and stays as it was where the new one cannot be made', async () => {
  await using folder = await openFolder()
  const place = join(folder.path, 'web')
  const text = () => readFile(join(place, 'a.txt'), 'utf8')
  await replaceFolder(place, holding('one'))
  await replaceFolder(place, holding('two'))
  expect(await text()).toBe('two')
  const failing = replaceFolder(place, async (beside) => {
    await holding('three')(beside)
    throw new Error('no room')
  })
  await expect(failing).rejects.toThrow('no room')
  expect([await text(), await readdir(folder.path)]).toEqual(['two', ['web']])
})

test('a folder is made where nothing is yet, and one that was not made at all is told', async () => {
  await using folder = await openFolder()
  const place = join(folder.path, 'new', 'web')
  await expect(replaceFolder(place, async () => {})).rejects.toMatchObject({ code: 'ENOENT' })
  await replaceFolder(place, async (beside) => void (await mkdir(beside, { recursive: true })))
  expect(await readdir(join(folder.path, 'new'))).toEqual(['web'])
})

test('of two that are made at once one stays, and neither fails', async () => {
  await using folder = await openFolder()
  const place = join(folder.path, 'web')
  await replaceFolder(place, holding('old'))
  await Promise.all(['one', 'two', 'three', 'four'].map((text) => replaceFolder(place, holding(text))))
  expect(await readFile(join(place, 'a.txt'), 'utf8')).toMatch(/^(?:one|two|three|four)$/)
  expect(await readdir(folder.path)).toEqual(['web'])
})

test('what an ended process left beside it goes; that of a running one stays', async () => {
  await using folder = await openFolder()
  const place = join(folder.path, 'web')
  const running = `web.${process.ppid}.x`
  for (const name of [`web.${endedPid()}.x.old`, running, 'web.txt']) await mkdir(join(folder.path, name))
  await replaceFolder(place, holding('new'))
  expect((await readdir(folder.path)).sort()).toEqual([running, 'web', 'web.txt'].sort())
})
