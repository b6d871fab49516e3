import { dirname } from 'node:path'
import type { Environment } from '../config.ts'
import { toDiskError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { type Terminal, writeLine } from './context.ts'
import { helpText } from './help.ts'
import { languageOf } from './language.ts'
import { speak } from './messages.ts'
import { readArguments } from './read-arguments.ts'

/** What the program ends with: all is well, something failed, it was called wrongly. */
export const exitCodes = { ok: 0, failure: 1, usage: 2 } as const

export type World = Readonly<{
  args: readonly string[]
  environment: Environment
  readEnvFile: () => string | undefined
  terminal: Terminal
  fetch: typeof globalThis.fetch
  version: string
}>

/** Runs one command line to its end; gives the exit code. */
export async function runCli({ args, environment, readEnvFile, terminal, fetch, version }: World): Promise<number> {
  const language = languageOf(environment)
  const say = speak(language)
  const call = readArguments(args, say)
  switch (call.type) {
    case 'version':
      writeLine(terminal.output, version)
      return exitCodes.ok
    case 'help':
      writeLine(terminal.output, helpText(call.command, language, say))
      return exitCodes.ok
    case 'mistake':
      writeLine(terminal.notes, call.message)
      return exitCodes.usage
    case 'run':
  }
  const { command, words, flags, values, settings } = call
  try {
    const context = {
      words,
      flags,
      values,
      settings,
      environment,
      envFile: readEnvFile(),
      language,
      say,
      terminal,
      fetch,
      version,
    }
    return await command.run(context)
  } catch (failure) {
    const error = toDiskError(failure, placeOf(failure))
    if (!(error instanceof AppError)) throw failure
    writeLine(terminal.notes, error.message)
    return exitCodes.failure
  }
}

/** The folder that an error of the system is about. */
function placeOf(error: unknown): string {
  return error instanceof Error && 'path' in error && typeof error.path === 'string' ? dirname(error.path) : process.cwd()
}
