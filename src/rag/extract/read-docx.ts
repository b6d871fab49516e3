import { zipSync } from 'fflate'
import mammoth from 'mammoth'
import { AppError } from '../../errors.ts'
import type { ReadDocument } from './blocks.ts'
import { parsePart, readHtmlBlocks } from './html-blocks.ts'
import { type Archive, unzip } from './unzip.ts'

export async function readDocx(bytes: Uint8Array): Promise<ReadDocument> {
  const files = unzip(bytes, (path) => /\.(?:xml|rels)$/i.test(path))
  const blocks = readHtmlBlocks(parsePart(await toHtml(files)).body)
  const title = readTitle(files) ?? blocks.find(({ type }) => type === 'heading')?.text
  return { blocks, ...(title === undefined ? {} : { title }) }
}

async function toHtml(files: Archive): Promise<string> {
  // mammoth unpacks without a limit: it gets what was unpacked within ours, packed again without compression.
  const buffer = Buffer.from(zipSync(Object.fromEntries(files), { level: 0 }))
  try {
    const { value } = await mammoth.convertToHtml(
      { buffer },
      { styleMap: ["p[style-name='Title'] => h1:fresh"], externalFileAccess: false, convertImage: noImage },
    )
    return value
  } catch (error) {
    throw new AppError('unprocessable', 'The DOCX file is damaged: its text cannot be read.', { cause: error })
  }
}

const noImage = mammoth.images.imgElement(async () => ({ src: '' }))

function readTitle(files: Archive): string | undefined {
  const properties = files.get('docProps/core.xml')
  if (properties === undefined) return undefined
  const title = parsePart(Buffer.from(properties).toString('utf8')).querySelector('dc\\:title')?.textContent
  return title?.trim() || undefined
}
