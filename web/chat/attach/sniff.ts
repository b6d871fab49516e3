/** What the first bytes of a file prove, or `text`. */
export type Sniffed = 'pdf' | 'archive' | 'image' | 'media' | 'packed' | 'program' | 'office' | 'utf-16' | 'text'

const beginnings: ReadonlyArray<readonly [Sniffed, readonly string[]]> = [
  ['archive', ['PK\x03\x04', 'PK\x05\x06']],
  ['office', ['\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1', '{\\rtf']],
  ['image', ['\x89PNG\r\n', '\xff\xd8\xff', 'GIF87a', 'GIF89a', 'II*\0', 'MM\0*', 'BM', '\0\0\x01\0']],
  ['packed', ['\x1f\x8b', 'BZh', '7z\xbc\xaf', 'Rar!', '\xfd7zXZ', '\x28\xb5\x2f\xfd']],
  ['media', ['ID3', 'OggS', 'fLaC', '\x1aE\xdf\xa3', '\xff\xfb', '\xff\xf3']],
  ['program', ['\x7fELF', 'MZ', '\xca\xfe\xba\xbe', '\xcf\xfa\xed\xfe', '\0asm']],
  ['utf-16', ['\xff\xfe', '\xfe\xff']],
]
/** Those that words can begin like, too. */
const wordLike = new Set(['BM', 'BZh', 'ID3', 'MZ', 'Rar!', 'OggS', 'fLaC'])

/** @param head the first bytes of a file, 1024 or all */
export function sniff(head: Uint8Array): Sniffed {
  const text = [...head.subarray(0, 1024)].map((byte) => String.fromCharCode(byte)).join('')
  // Readers of PDF accept some bytes before the header.
  if (text.includes('%PDF-')) return 'pdf'
  if (text.startsWith('RIFF') && text.includes('\0')) return text.slice(8, 12) === 'WEBP' ? 'image' : 'media'
  if (text.slice(4, 8) === 'ftyp') return 'media'
  const isThat = (start: string) => text.startsWith(start) && (!wordLike.has(start) || text.includes('\0'))
  return beginnings.find(([, starts]) => starts.some(isThat))?.[0] ?? 'text'
}
