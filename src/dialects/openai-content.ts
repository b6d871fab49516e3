import { wrongField } from './refuse-fields.ts'

/** What a message says, apart from what it shows. */
export type ReadContent = Readonly<{ text: string; images: readonly string[] }>

/** A part of a message, as any endpoint of this dialect sends it. */
type Part = Readonly<{ type: string; text?: string; refusal?: string; image_url?: string | Readonly<{ url: string }> }>

/**
 * Texts are joined by line breaks; images stand before them. `place`: of the content in the request. Throws `invalid` for an image
 * at an address that nobody may be sent to.
 */
export function readContent(content: string | readonly Part[], place: string): ReadContent {
  if (typeof content === 'string') return { text: content, images: [] }
  const texts: string[] = []
  const images: string[] = []
  for (const [index, { text, refusal, image_url: image }] of content.entries()) {
    if (image === undefined) texts.push(text ?? refusal ?? '')
    else if (typeof image === 'string') images.push(checkAddress(image, `${place}.${index}.image_url`))
    else images.push(checkAddress(image.url, `${place}.${index}.image_url.url`))
  }
  return { text: texts.join('\n'), images }
}

function checkAddress(address: string, field: string): string {
  if (/^data:image\/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]+={0,2}$/i.test(address)) return address
  if (address.startsWith('https://') && URL.canParse(address)) return address
  throw wrongField(field, 'an https: address, or an image as "data:image/…;base64,…"', 'another address')
}
