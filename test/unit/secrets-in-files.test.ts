import { createHash } from 'node:crypto'
import { globSync, readFileSync, statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { findSecrets } from '../../src/datasets/read/secrets.ts'

/** Everything of the project that people write. What is made (the lock of packages) or binary is left out. */
const places = [
  '*.{md,json,ts,sh,yml,yaml,toml}',
  '{src,web,test,bench,docs,config,deploy,charts,.github}/**/*.*',
  '.env*',
  '{Dockerfile,compose}*',
]
const leftOut =
  /(?:^|\/)(?:node_modules|dist|test-results)\/|package-lock\.json$|\.(?:png|jpg|ico|bin|safetensors|gguf|onnx|woff2?|pdf|docx|epub|zip|gz|br|spm|model)$/
const mostBytes = 2_000_000
/** Addresses and card numbers of nobody stand in many tests; keys and tokens are what opens something. */
const opening = ['secret:api-key', 'secret:private-key', 'secret:token'] as const

const knownPath = 'test/fixtures/known-secrets.txt'
/** A file, and the beginning of the SHA-256 of a line of it that only looks as if it held a secret. */
const keyOf = (file: string, line: string) => `${file} ${createHash('sha256').update(line.trim()).digest('hex').slice(0, 16)}`

function listSuspicious(): readonly string[] {
  const files = globSync(places).filter((file) => !leftOut.test(file) && file !== knownPath && statSync(file).isFile())
  expect(files.length).toBeGreaterThan(1000)
  return files.flatMap((file) => {
    if (statSync(file).size > mostBytes) return []
    const lines = readFileSync(file, 'utf8').split('\n')
    return lines
      .filter((line) => findSecrets(line).some((flag) => opening.some((one) => one === flag)))
      .map((line) => keyOf(file, line))
  })
}

test('no file holds a key or a token, but for those of tests that open nothing and are known', async () => {
  const suspicious = [...new Set(listSuspicious())].toSorted()
  // A line more: look at it. If it holds a real secret, take it out and have it revoked; else let `vitest -u` add it to the known ones.
  await expect(`${suspicious.join('\n')}\n`).toMatchFileSnapshot('../fixtures/known-secrets.txt')
})

test('a key that somebody leaves in a file is found', () => {
  for (const line of [
    "const key = 'ghp_0123456789abcdefghijABCDEFGHIJ012345'",
    'SECRET_KEY=4fJ8sK2mQ9xZ7pL1vB6nR3tY5wE0uA',
    '-----BEGIN PRIVATE KEY-----',
  ])
    expect(findSecrets(line).some((flag) => opening.some((one) => one === flag))).toBe(true)
})
