import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { openTempFiles } from '../../src/rag/temp-files.ts'
import { endedPid } from '../ended-process.ts'

const never = new AbortController().signal

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'temp-files-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('a start removes what an ended process left, and nothing of one that runs; nor does the end', async () => {
  const folder = await makeFolder()
  const [running, ended] = [String(process.ppid), String(endedPid())]
  for (const pid of [running, ended, String(process.pid)]) {
    await mkdir(join(folder, pid))
    await writeFile(join(folder, pid, 'a file'), 'text')
  }
  await writeFile(join(folder, 'of an older version'), 'text')
  const files = await openTempFiles(folder)
  expect(await readdir(folder)).toEqual([running])
  const { path } = await files.save(Readable.from([Buffer.from('text')]), 100, never)
  expect(path.startsWith(files.folder)).toBe(true)
  await files.close()
  expect(await readdir(folder, { recursive: true })).toEqual([running, join(running, 'a file')])
})

test('what another machine keeps in the same folder stays for a day', async () => {
  const folder = await makeFolder()
  const [working, gone] = [`${process.pid}@other-machine`, `${endedPid()}@another-machine`]
  for (const mark of [working, gone]) await mkdir(join(folder, mark))
  const twoDaysAgo = new Date(Date.now() - 2 * 24 * 3600 * 1000)
  await utimes(join(folder, gone), twoDaysAgo, twoDaysAgo)
  await (await openTempFiles(folder)).close()
  expect(await readdir(folder)).toEqual([working])
})

test('a folder that is not there yet is no error', async () => {
  const folder = join(await makeFolder(), 'uploads')
  await (await openTempFiles(folder)).close()
})
