import { Marked } from 'marked'
import type { ReadDocument } from './blocks.ts'
import { parsePart, readHtmlBlocks } from './html-blocks.ts'

const marked = new Marked({
  gfm: true,
  renderer: {
    // GitHub's own rule: these would swallow or hide what follows them.
    html: ({ text }) => text.replace(/<(?=\/?(?:title|textarea|style|xmp|iframe|noembed|noframes|script|plaintext)\b)/gi, '&lt;'),
  },
})

export function readMarkdown(text: string): ReadDocument {
  const [, frontMatter = '', body = text] = /^---\r?\n([\s\S]*?)\r?\n---[^\S\n]*\r?\n([\s\S]*)$/.exec(text) ?? []
  const blocks = readHtmlBlocks(parsePart(marked.parse(body, { async: false })).body)
  const named = /^title:\s*["']?(.+?)["']?\s*$/m.exec(frontMatter)?.[1]
  const title = named ?? blocks.find(({ type, level }) => type === 'heading' && level === 1)?.text
  return { blocks, ...(title === undefined ? {} : { title }) }
}
