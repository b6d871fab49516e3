/** A title as a file can be called. */
export function toFileName(title: string, ending: string): string {
  const name = title
    .normalize('NFC')
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60)
  return `${name === '' ? 'simpleia' : name}.${ending}`
}
