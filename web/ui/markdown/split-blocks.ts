import type { Token } from 'marked'
import { lex } from './lexer.ts'
import { placeMarks, type Span } from './sentence-marks.ts'

/** A block of a text: a paragraph, a list, a table… `start` tells it from the others. */
export type Block = Readonly<{ start: number; token: Token }>

const isSpace = ({ token }: Block): boolean => token.type === 'space'

/**
 * Splits a text that grows at its end. What cannot change any more is not read again, and blocks that are as they were stay the same
 * objects. A text that does not begin with the one before is read anew.
 */
export function createSplitter(): (text: string) => readonly Block[] {
  let before = ''
  let blocks: readonly Block[] = []
  return (given) => {
    const text = given.replace(/\r\n?/g, '\n')
    const kept = text.startsWith(before) ? settled(blocks) : []
    const last = kept.at(-1)
    const start = last === undefined ? 0 : last.start + last.token.raw.length
    blocks = [...kept, ...reuse(blocks, blocksFrom(text.slice(start), start))]
    before = text
    return blocks.filter((block) => !isSpace(block))
  }
}

function blocksFrom(text: string, start: number): readonly Block[] {
  let at = start
  return lex(text).map((token) => {
    const block = { start: at, token }
    at += token.raw.length
    return block
  })
}

/**
 * The blocks that no further text can change. The last one can, and with it those before it that no empty line parts from it; a list
 * may take in what follows it, as "2." becomes its next item.
 */
function settled(blocks: readonly Block[]): readonly Block[] {
  let first = blocks.findLastIndex((block) => !isSpace(block))
  while (first > 0) {
    const before = blocks.slice(0, first).findLastIndex((block) => !isSpace(block))
    const between = blocks.slice(Math.max(before, 0), first).map(({ token }) => token.raw)
    if (before === -1 || (blocks[before]?.token.type !== 'list' && /\n[ \t]*\n[ \t]*$/.test(between.join('')))) break
    first = before
  }
  return blocks.slice(0, Math.max(first, 0))
}

function reuse(old: readonly Block[], read: readonly Block[]): readonly Block[] {
  return read.map(
    (block) =>
      old.find(({ start, token }) => start === block.start && token.raw === block.token.raw && token.type === block.token.type) ??
      block,
  )
}

/** Those sentences that can be marked without making other blocks of a text, as a mark inside of a fence would. */
export function harmlessSpans(text: string, spans: readonly Span[]): readonly Span[] {
  const shape = (marked: string) =>
    lex(marked)
      .map(({ type }) => type)
      .join()
  const own = shape(text)
  return spans.filter((span) => shape(placeMarks(text, [span])) === own)
}
