import { conversationBounds } from '../../../src/conversations/bounds.ts'
import { predictBounds } from '../../../src/predict/bounds.ts'
import type { Attachment } from '../shown-conversation.ts'
import { sniff } from './sniff.ts'

/** Why a file can go neither into the prompt nor to the documents. */
export type Refusal = 'image' | 'media' | 'packed' | 'program' | 'office' | 'binary' | 'empty' | 'too-many' | 'unreadable'

export type ReadFiles = Readonly<{
  /** Texts, for the prompt. */
  attachments: readonly Attachment[]
  /** What the service reads as documents: PDF, DOCX, EPUB, HTML, and texts that are too long for the prompt. */
  documents: readonly File[]
  refused: ReadonlyArray<Readonly<{ name: string; reason: Refusal }>>
}>

/** Tokens of a model's window are fewer; this is what the service takes at all, of all files and the question. */
const mostCharacters = predictBounds.promptCharacters / 2
const headBytes = 4096

/** Sorts files by their content. `taken`: what goes with the question already. */
export async function readAttachments(files: readonly File[], taken: readonly Attachment[] = []): Promise<ReadFiles> {
  const attachments: Attachment[] = []
  const documents: File[] = []
  const refused: Array<ReadFiles['refused'][number]> = []
  let room = mostCharacters - taken.reduce((sum, { text }) => sum + text.length, 0)
  let places = conversationBounds.attachments - taken.length
  for (const file of files) {
    const read = await readOne(file, room).catch(() => 'unreadable' as const)
    if (read === 'document') documents.push(file)
    else if (typeof read === 'string') refused.push({ name: file.name, reason: read })
    else if (places === 0) refused.push({ name: file.name, reason: 'too-many' })
    else {
      attachments.push({ name: file.name, text: read.text })
      room -= read.text.length
      places -= 1
    }
  }
  return { attachments, documents, refused }
}

type ReadFile = Readonly<{ text: string }> | 'document' | Refusal

async function readOne(file: File, room: number): Promise<ReadFile> {
  if (file.size === 0) return 'empty'
  const head = new Uint8Array(await file.slice(0, headBytes).arrayBuffer())
  const found = sniff(head)
  if (found === 'pdf') return 'document'
  if (found === 'archive') return kindOfArchive(file.name)
  if (found !== 'text' && found !== 'utf-16') return found
  if (found === 'text' && head.includes(0)) return 'binary'
  // Each character has at least a byte: what has more than three for each that fits is too long, whatever it says.
  if (file.size > 3 * room + headBytes) return 'document'
  const text = decode(new Uint8Array(await file.arrayBuffer()), found)
  if (text === undefined) return isNamedAsText(file.name) ? 'document' : 'binary'
  if (text.includes('\0')) return 'binary'
  if (text.trim() === '') return 'empty'
  return isHtml(file.name, text) || text.length > room ? 'document' : { text }
}

function kindOfArchive(name: string): 'document' | Refusal {
  if (/\.(docx|epub)$/i.test(name)) return 'document'
  return /\.(xlsx|pptx|odt|ods|odp|docm|xlsm|pages|numbers|key)$/i.test(name) ? 'office' : 'packed'
}

/** Undefined: it is no text in this encoding. */
function decode(bytes: Uint8Array, found: 'text' | 'utf-16'): string | undefined {
  const encoding = found === 'text' ? 'utf-8' : bytes[0] === 0xff ? 'utf-16le' : 'utf-16be'
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** In an encoding that the service finds out. */
const isNamedAsText = (name: string) => /\.(txt|text|log|md|markdown|csv|tsv|html?|xhtml|rst|tex|srt|ini|xml)$/i.test(name)

const isHtml = (name: string, text: string) =>
  /\.x?html?$/i.test(name) ||
  /^\s*(<\?xml[^>]*>\s*)?(<!--[\s\S]{0,2000}?-->\s*)?<(!doctype\s+html|html)\b/i.test(text.slice(0, 5000))
