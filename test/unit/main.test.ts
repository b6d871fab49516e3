import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'

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
