import { createHash } from 'node:crypto'
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createTarWriter } from '../../src/backup/tar-file.ts'
import { readHeader, readLongName, writeHeader, writeLongName } from '../../src/backup/tar-header.ts'
import { openFolder } from '../temp-folder.ts'
import { unpackTar } from '../unpack-tar.ts'

describe('the header of a file in a backup', () => {
  const header = { name: 'data/a', sizeBytes: 7, type: 'file' } as const

  test('holds any size that a file can have, in digits where other programs read them so', () => {
    for (const sizeBytes of [0, 8 ** 11 - 1, 8 ** 11, Number.MAX_SAFE_INTEGER])
      expect(readHeader(writeHeader({ ...header, sizeBytes }, 0))).toEqual({ ...header, sizeBytes })
  })

  /** With other bytes in it, and the sum of what it then holds. */
  function changed(place: number, bytes: string): Buffer {
    const block = writeHeader(header, 0)
    block.write(bytes, place, 'latin1')
    block.write(' '.repeat(8), 148)
    const sum = block.reduce((all, byte) => all + byte, 0)
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    return block
  }

  test.each([
    ['a link', 156, '2'],
    ['a device', 156, '3'],
    ['a folder', 156, '5'],
    ['another format', 257, 'gnutar'],
    ['a size that is no number', 124, 'zzzzzzzzzzz'],
    ['a size below nothing', 124, '-0000000001'],
    ['a size beyond all numbers', 124, '\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff'],
  ])('with %s is refused', (_what, place, bytes) => {
    expect(() => readHeader(changed(place, bytes))).toThrow('This is no backup of simpleIA')
  })

  test.each(['', 'x', '12 name=a\n', 'path=a\n', '10 path=a\0\n'])('before it with no long name is refused: %j', (record) => {
    expect(() => readLongName(Buffer.from(record))).toThrow('This is no backup of simpleIA')
  })

  test('before it tells a name of any length, with the length that counts itself', () => {
    for (const length of [1, 2, 3, 89, 90, 91, 989, 990, 991, 4000]) {
      const record = writeLongName('ñ'.repeat(length))
      expect(Number.parseInt(record.toString(), 10)).toBe(record.length)
      expect(readLongName(record)).toBe('ñ'.repeat(length))
    }
  })

  test('with a longer name than any is refused', async () => {
    const name = Buffer.from(`5009 path=${'a'.repeat(5000 - 2)}\n`)
    const padding = Buffer.alloc(512 - (name.length % 512))
    const long = writeHeader({ name: 'name', sizeBytes: name.length, type: 'extended' }, 0)
    await using folder = await openFolder()
    const path = join(folder.path, 'long.tar')
    await writeFile(path, Buffer.concat([long, name, padding, Buffer.alloc(1024)]))
    await expect(unpackTar(path)).rejects.toMatchObject({ code: 'invalid' })
  })
})

test('a file that is shorter or longer than was said is told, and spoils no other', async () => {
  await using folder = await openFolder()
  const path = join(folder.path, 'one.tar')
  const file = await open(path, 'w')
  const tar = createTarWriter(file, 0)
  const pieces = [Buffer.from('abc'), Buffer.from('def')]
  expect(await tar.add('short', 3_000_000, pieces)).toBeUndefined()
  expect(await tar.add('long', 4, [...pieces, ...pieces])).toBeUndefined()
  expect(await tar.add('whole', 6, pieces)).toBe(createHash('sha256').update('abcdef').digest('hex'))
  await tar.end()
  await file.close()
  const entries = await unpackTar(path)
  expect([...entries].map(([name, content]) => [name, content.length])).toEqual([
    ['short', 3_000_000],
    ['long', 4],
    ['whole', 6],
  ])
  expect(entries.get('long')).toBe('abcd')
})
