#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

// V8 keeps what it has compiled beside the program, and starts in half the time with it. A folder that cannot be written is no
// reason not to start.
enableCompileCache(fileURLToPath(new URL('../.cache/compiled', import.meta.url)))
await import('./program.ts')
