import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const start = (...words: readonly string[]) =>
  spawn(process.execPath, ['src/main.ts', ...words], { stdio: ['ignore', 'pipe', 'pipe'] })

test('a reader that has seen enough, such as head, is no failure', async () => {
  const child = start('--help')
  child.stdout.destroy()
  const [notes, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  expect([notes, code]).toEqual(['', 0])
})

test('a command whose notes nobody can take ends as it does otherwise', async () => {
  const heard = start('no-such-command')
  const unheard = start('no-such-command')
  unheard.stderr.destroy()
  const [[code], [other], notes] = await Promise.all([once(heard, 'exit'), once(unheard, 'exit'), text(heard.stderr)])
  expect(notes).toContain('no-such-command')
  expect([code, other]).toEqual([2, 2])
})

describe('a program', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'simpleia-program-'))
    await cp('src', join(folder, 'src'), { recursive: true })
    await cp('package.json', join(folder, 'package.json'))
    await symlink(resolve('node_modules'), join(folder, 'node_modules'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  async function versionOf(): Promise<string> {
    const child = spawn(process.execPath, [join(folder, 'src', 'main.ts'), '--version'], { stdio: ['ignore', 'pipe', 'inherit'] })
    return text(child.stdout)
  }

  test('keeps what V8 has compiled of it beside it', async () => {
    expect(await versionOf()).toMatch(/^\d/)
    expect(await readdir(join(folder, '.cache', 'compiled'), { recursive: true })).not.toHaveLength(0)
  })

  test('that cannot be written starts all the same', async () => {
    await writeFile(join(folder, '.cache'), 'no folder')
    expect(await versionOf()).toMatch(/^\d/)
  })
})
