/** A title as a file can be called. */
export function toFileName(title: string, ending: string): string {
  const words = title.normalize('NFC').match(/[\p{L}\p{N}]+/gu) ?? []
  const name = words.join('-').slice(0, 60)
  return `${name === '' ? 'simpleia' : name}.${ending}`
}
