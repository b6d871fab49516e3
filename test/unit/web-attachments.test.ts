import { expect, test } from 'vitest'
import { readAttachments } from '../../web/chat/attach/read-attachments.ts'

const file = (name: string, content: string | Uint8Array<ArrayBuffer>) => new File([content], name)
const latin1 = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0))
const reasonOf = async (one: File) => (await readAttachments([one])).refused[0]?.reason

test('texts go with the question, by what they hold and not by their names', async () => {
  const { attachments, documents, refused } = await readAttachments([
    file('notes', 'Hola, ñandú 😀'),
    file('main.rs', 'fn main() {}'),
    file('data.png', 'no picture'),
    file('BMX.txt', 'BM and MZ are letters'),
    file('u16.txt', new Uint8Array([0xff, 0xfe, 0x68, 0, 0xf3, 0])),
  ])
  expect(attachments).toEqual([
    { name: 'notes', text: 'Hola, ñandú 😀' },
    { name: 'main.rs', text: 'fn main() {}' },
    { name: 'data.png', text: 'no picture' },
    { name: 'BMX.txt', text: 'BM and MZ are letters' },
    { name: 'u16.txt', text: 'hó' },
  ])
  expect([documents, refused]).toEqual([[], []])
})

test('what the service reads as documents is offered as such: formats, pages, old encodings, and texts that are too long', async () => {
  const files = [
    file('a.pdf', '%PDF-1.7\n\0'),
    file('a.docx', 'PK\x03\x04…'),
    file('a.epub', 'PK\x03\x04…'),
    file('a.html', '<p>Hi</p>'),
    file('page', '<!DOCTYPE html><p>Hi'),
    file('old.txt', latin1('ma\xf1ana')),
    file('long.txt', 'x'.repeat(300_000)),
  ]
  const { attachments, documents, refused } = await readAttachments(files)
  expect(documents).toEqual(files)
  expect([attachments, refused]).toEqual([[], []])
})

test('a text that does not fit beside those that go already is offered as a document', async () => {
  const taken = [{ name: 'first', text: 'x'.repeat(199_995) }]
  const { attachments, documents } = await readAttachments([file('a', '123456'), file('b', '12345'), file('c', '1')], taken)
  expect(attachments.map(({ name }) => name)).toEqual(['b'])
  expect(documents.map(({ name }) => name)).toEqual(['a', 'c'])
})

test.each([
  ['image', 'a.png', '\x89PNG\r\n\x1a\n'],
  ['image', 'a.jpg', '\xff\xd8\xff\xe0'],
  ['image', 'a.webp', 'RIFF\0\0\0\0WEBP'],
  ['media', 'a.mp4', '\0\0\0\x20ftypisom'],
  ['media', 'a.mp3', 'ID3\x04\0'],
  ['packed', 'a.zip', 'PK\x03\x04'],
  ['packed', 'a.gz', '\x1f\x8b\x08'],
  ['office', 'a.xlsx', 'PK\x03\x04'],
  ['office', 'a.doc', '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1'],
  ['program', 'a', '\x7fELF\x02'],
  ['binary', 'a.bin', 'abc\0def'],
  ['binary', 'a.dat', '\xfe\x01\xfe'],
  ['empty', 'a.txt', ''],
  ['empty', 'b.txt', ' \n'],
])('%s: %s is refused', async (reason, name, content) => {
  expect(await reasonOf(file(name, latin1(content)))).toBe(reason)
})

test('no more files go with a question than a conversation keeps', async () => {
  const files = Array.from({ length: 22 }, (_, index) => file(`${index}`, 'x'))
  const { attachments, refused } = await readAttachments(files)
  expect(attachments).toHaveLength(20)
  expect(refused).toEqual([
    { name: '20', reason: 'too-many' },
    { name: '21', reason: 'too-many' },
  ])
})
