import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { aiSdk } from './ai-sdk.ts'
import { anthropic } from './anthropic.ts'
import { type Client, type Feature, features } from './features.ts'
import { langchain } from './langchain.ts'
import { ollama } from './ollama.ts'
import { openai } from './openai.ts'
import { type OpenWorld, openWorld } from './world.ts'

const clients: readonly Client[] = [openai, anthropic, ollama, aiSdk, langchain]

let world: OpenWorld
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

for (const { name, checks } of clients)
  describe(name, () => {
    for (const [feature, check] of Object.entries(checks)) {
      if (typeof check === 'string') continue
      test(feature, () => check(world))
    }
  })
