import { mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve, sep, win32 } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseModelName } from '../../src/models/model-name.ts'
import { createModelRegistry } from '../../src/models/registry.ts'
import { saveRecord } from '../../src/models/verified-file.ts'

describe('a model name', () => {
  test('of an installed model is its path, with or without the ending', () => {
    for (const given of ['gemma-3-270m-q4_k_m', 'gemma-3-270m-q4_k_m.gguf', 'gemma-3-270m-q4_k_m.GGUF'])
      expect(parseModelName(given)).toMatchObject({ path: 'gemma-3-270m-q4_k_m', hub: undefined })
  })

  test('of two parts is a path, or a repository of the hub', () => {
    expect(parseModelName('Qwen/Qwen3-0.6B-GGUF')).toMatchObject({
      path: 'Qwen/Qwen3-0.6B-GGUF',
      hub: { repository: 'Qwen/Qwen3-0.6B-GGUF', file: undefined, quantization: undefined },
    })
    expect(parseModelName('folder/model.gguf')).toMatchObject({ path: 'folder/model', hub: undefined })
  })

  test('of the hub may name a quantization or a file', () => {
    for (const given of ['a/b:Q4_K_M', 'hf:a/b:Q4_K_M', 'hf.co/a/b:Q4_K_M', 'https://huggingface.co/a/b:Q4_K_M'])
      expect(parseModelName(given)).toMatchObject({ path: undefined, hub: { repository: 'a/b', quantization: 'Q4_K_M' } })
    expect(parseModelName('a/b:latest').hub).toEqual({ repository: 'a/b', file: undefined, quantization: undefined })
    expect(parseModelName('hf:a/b/Q4/m-00001-of-00002.gguf').hub).toEqual({
      repository: 'a/b',
      file: 'Q4/m-00001-of-00002.gguf',
      quantization: undefined,
    })
  })

  test('in the form of Ollama has a name and a tag', () => {
    expect(parseModelName('qwen3:0.6b')).toMatchObject({
      path: undefined,
      hub: undefined,
      tagged: { name: 'qwen3', tag: '0.6b' },
    })
    expect(parseModelName('qwen3').tagged).toEqual({ name: 'qwen3', tag: 'latest' })
  })

  test('with a plus sign may be a base and an adapter', () => {
    expect(parseModelName('gemma+pirate')).toMatchObject({ path: 'gemma+pirate', adapted: { base: 'gemma', adapter: 'pirate' } })
    expect(parseModelName('qwen3:0.6b+pirate')).toMatchObject({
      path: undefined,
      adapted: { base: 'qwen3:0.6b', adapter: 'pirate' },
    })
    expect(parseModelName('gemma').adapted).toBeUndefined()
    expect(() => parseModelName('../gemma+pirate')).toThrow('must be')
    expect(() => parseModelName('a:b+../pirate')).toThrow('must be')
  })

  test('whatever its text is, leads to a place inside the models folder, on Windows too', () => {
    const alphabet = fc.constantFrom(
      ...'ab.1/\\:%~+- ',
      '..',
      '../',
      'hf:',
      'con',
      'NUL',
      '\0',
      '\n',
      'ñ',
      '\u2024',
      'C:',
      '.gguf',
      '%2e',
    )
    fc.assert(
      fc.property(fc.array(alphabet, { maxLength: 12 }), (pieces) => {
        const read = attempt(pieces.join(''))
        const base = read?.adapted === undefined ? undefined : parseModelName(read.adapted.base)
        for (const path of [read?.path, read?.hub?.file, base?.path, base?.hub?.file, read?.adapted?.adapter]) {
          if (path === undefined) continue
          expect(resolve('/models', `${path}.gguf`).startsWith(`/models${sep}`)).toBe(true)
          expect(win32.resolve('C:\\models', `${path}.gguf`).startsWith('C:\\models\\')).toBe(true)
          expect(path).not.toMatch(/%|:|\\|\p{Cc}/u)
        }
        expect(read?.hub?.repository ?? 'a/b').toMatch(/^[\w.-]+\/[\w.-]+$/)
      }),
    )
  })
})

function attempt(given: string) {
  try {
    return parseModelName(given)
  } catch (error) {
    expect(error).toMatchObject({ code: 'invalid' })
    return undefined
  }
}

/** A models folder with these files, inside a folder with a file of nobody's business. */
async function createFolder(...names: readonly string[]) {
  const outer = await mkdtemp(join(tmpdir(), 'simpleia-names-'))
  const modelsDir = join(outer, 'models')
  await mkdir(modelsDir)
  await writeFile(join(outer, 'secret.gguf'), 'GGUF')
  for (const name of names) {
    await mkdir(join(modelsDir, name, '..'), { recursive: true })
    await writeFile(join(modelsDir, name), 'GGUF')
  }
  return { outer, modelsDir, ...createModelRegistry(modelsDir) }
}

const escapes = [
  ...['../secret', '../../etc/passwd', '/etc/passwd', 'a/../../secret', './secret', 'a//b', '..', '.', ''],
  ...[
    '%2e%2e%2fsecret',
    '..%2fsecret',
    '%252e%252e/secret',
    '..\\secret',
    'C:\\x',
    'C:/x',
    '\\\\server\\share',
    '//server/share',
  ],
  ...[
    'a\0b',
    'a\nb',
    'secret.gguf\0.txt',
    'a.gguf::$DATA',
    'con',
    'NUL.gguf',
    'com1',
    'folder/aux.x',
    'dots...',
    'space ',
    ' space',
  ],
  ...[
    '.checkpoints/a',
    'hf:../../secret',
    'hf:a/b/../../../secret.gguf',
    'hf:a/../b',
    'a/..',
    '\ud800',
    'x'.repeat(5000),
    'ñ'.repeat(200),
  ],
]

test('a name that means more than a file of the folder is refused', async () => {
  const { find } = await createFolder('a.gguf')
  for (const name of escapes) await expect(find(name), JSON.stringify(name)).rejects.toMatchObject({ code: 'invalid' })
})

test('a name in base64 stays a name, and is not found', async () => {
  const { find } = await createFolder()
  await expect(find(Buffer.from('../secret').toString('base64'))).rejects.toMatchObject({ code: 'not_found' })
})

test('links that lead out of the folder are refused; those that stay inside are models', async () => {
  const { find, outer, modelsDir } = await createFolder('a.gguf')
  await symlink(join(outer, 'secret.gguf'), join(modelsDir, 'file.gguf'))
  await symlink(outer, join(modelsDir, 'folder'))
  await symlink(join(modelsDir, 'a.gguf'), join(modelsDir, 'other.gguf'))
  for (const name of ['file', 'folder/secret']) await expect(find(name)).rejects.toMatchObject({ code: 'invalid' })
  expect(await find('other')).toMatchObject({ name: 'other' })
  await symlink(outer, join(modelsDir, 'round'))
  await symlink(modelsDir, join(modelsDir, 'and-round'))
  expect(await createModelRegistry(modelsDir).list()).toEqual(['a', 'file', 'other'])
})

test('an installed model is found by what it was pulled from, in every form of that name', async () => {
  const { find, modelsDir } = await createFolder('Qwen3-0.6B-Q8_0.gguf', 'Qwen3-0.6B-Q4_K_M.gguf', 'x.gguf')
  for (const path of ['Qwen3-0.6B-Q8_0.gguf', 'Qwen3-0.6B-Q4_K_M.gguf']) {
    const origin = { repository: 'Qwen/Qwen3-0.6B-GGUF', commit: 'c0ffee', path }
    await saveRecord(join(modelsDir, path), { sha256: '0'.repeat(64), origin })
  }
  expect((await find('Qwen/Qwen3-0.6B-GGUF')).name).toBe('Qwen3-0.6B-Q4_K_M')
  expect((await find('qwen/qwen3-0.6b-gguf:q8_0')).name).toBe('Qwen3-0.6B-Q8_0')
  expect((await find('hf:Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf')).name).toBe('Qwen3-0.6B-Q8_0')
  await expect(find('Qwen/Qwen3-0.6B-GGUF:Q2_K')).rejects.toMatchObject({
    code: 'not_found',
    message: expect.stringContaining('models pull Qwen/Qwen3-0.6B-GGUF:Q2_K'),
  })
})

test('the names of Ollama find installed models without regard to case', async () => {
  const { find } = await createFolder(
    'gemma-3-270m-q4_k_m.gguf',
    'gemma-3-270m-Q8_0.gguf',
    'Qwen3-0.6B-Q8_0.gguf',
    'Qwen3-Coder-Q8_0.gguf',
  )
  const named = async (given: string) => (await find(given)).name
  expect(await named('Gemma-3-270M:Q8_0')).toBe('gemma-3-270m-Q8_0')
  expect(await named('gemma-3-270m:latest')).toBe('gemma-3-270m-q4_k_m')
  expect(await named('gemma-3:270m')).toBe('gemma-3-270m-q4_k_m')
  expect(await named('qwen3:0.6b')).toBe('Qwen3-0.6B-Q8_0')
  expect(await named('qwen3:0.6b-q8_0')).toBe('Qwen3-0.6B-Q8_0')
  await expect(find('qwen3:latest')).rejects.toMatchObject({ code: 'not_found' })
  await expect(find('gemma-3-270m:q2_k')).rejects.toMatchObject({ code: 'not_found' })
})

test('what is hidden, not whole or still being downloaded is not listed', async () => {
  const { list } = await createFolder(
    ...['a.gguf', 'b/c.gguf', 'd.gguf.part', 'd.gguf.part.json', '.checkpoints/o/r/e.gguf', '.packages/f.gguf'],
    ...['g-00001-of-00002.gguf', 'g-00002-of-00002.gguf', 'h-00001-of-00002.gguf', 'i-00002-of-00002.gguf'],
  )
  expect(await list()).toEqual(['a', 'b/c', 'g-00001-of-00002'])
})
