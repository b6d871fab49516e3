#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { runCli } from './cli/cli.ts'
import { hideSecrets, processEnvironment, readEnvFile, widenThreadPool } from './config.ts'

// A reader such as `head` that has seen enough is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
// What cannot be said is no reason to end: a full disk may be what it is about.
process.stderr.on('error', () => {})

widenThreadPool()
hideSecrets()
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
process.exitCode = await runCli({
  args: process.argv.slice(2),
  environment: processEnvironment,
  readEnvFile,
  terminal: { input: process.stdin, output: process.stdout, notes: process.stderr },
  fetch: globalThis.fetch,
  version,
})
