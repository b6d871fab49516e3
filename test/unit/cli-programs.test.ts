import { expect, test } from 'vitest'
import { runInTerminal, runProgram } from '../../src/cli/run-program.ts'

const node = (code: string) => [process.execPath, ['-e', code]] as const

test('of what a program writes the last is kept, with its code; one that is not there or is killed has the code -1', async () => {
  const long = await runProgram(...node('process.stdout.write("a".repeat(30_000) + "end", () => process.exit(3))'))
  expect([long.code, long.output.length, long.output.endsWith('aend')]).toEqual([3, 20_000, true])
  expect(await runProgram(...node('console.error("to the other stream")'))).toEqual({ code: 0, output: 'to the other stream\n' })
  expect(await runProgram('/no/such/program', [])).toEqual({ code: -1, output: expect.stringContaining('ENOENT') })
  expect(await runProgram(...node('setInterval(() => {}, 1000)'), AbortSignal.abort())).toMatchObject({ code: -1 })
})

test.each([
  ['exits', 'process.exit(4)', 4],
  ['is interrupted', 'process.kill(process.pid, "SIGINT"); setInterval(() => {}, 1000)', 130],
  ['is ended', 'process.kill(process.pid, "SIGTERM"); setInterval(() => {}, 1000)', 143],
])('a program in this terminal that %s has the code that a shell gives', async (_, code, expected) => {
  expect(await runInTerminal(...node(code))).toBe(expected)
})

test('a program that is not there has the code that a shell gives', async () => {
  expect(await runInTerminal('/no/such/program', [])).toBe(127)
})
