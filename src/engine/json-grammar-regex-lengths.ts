import type { RegexBranch, RegexNode } from './json-grammar-regex.ts'
import { allCharacters } from './json-grammar-text.ts'

/** How many characters a text may have; `max` undefined: without limit. */
export type Lengths = Readonly<{ min: number; max: number | undefined }>

/** How many characters a text that the nodes match may have. */
export function lengthsOf(nodes: readonly RegexNode[]): Lengths {
  let min = 0
  let max: number | undefined = 0
  for (const node of nodes) {
    const one = lengthsOfNode(node)
    min += one.min
    max = max === undefined || one.max === undefined ? undefined : max + one.max
  }
  return { min, max }
}

function lengthsOfNode(node: RegexNode): Lengths {
  switch (node.type) {
    case 'set':
      return { min: 1, max: 1 }
    case 'options': {
      const all = node.options.map(lengthsOf)
      const longest = all.reduce<number | undefined>(
        (max, one) => (max === undefined || one.max === undefined ? undefined : Math.max(max, one.max)),
        0,
      )
      return { min: Math.min(...all.map((one) => one.min)), max: longest }
    }
    case 'repeat': {
      const one = lengthsOfNode(node.of)
      const max =
        node.max === 0 || one.max === 0 ? 0 : node.max === undefined || one.max === undefined ? undefined : node.max * one.max
      return { min: node.min * one.min, max }
    }
  }
}

/**
 * A branch that matches only texts of these lengths. It may leave out some that both allow: room is shared out among the parts that can
 * grow. Undefined when no such share is found.
 */
export function withLengths(branch: RegexBranch, { min, max }: Lengths): RegexBranch | undefined {
  const whole = lengthsOf(branch.nodes)
  const fits = whole.min >= min && (max === undefined || (branch.fromStart && branch.toEnd && (whole.max ?? max + 1) <= max))
  if (fits) return branch
  const before = branch.fromStart ? [] : [anything]
  const raised = raise([...before, ...branch.nodes, ...(branch.toEnd ? [] : [anything])], min)
  const nodes = raised && max !== undefined ? shorten(raised, max) : raised
  return nodes && { nodes, fromStart: true, toEnd: true }
}

const anything: RegexNode = { type: 'repeat', of: { type: 'set', set: allCharacters }, min: 0, max: undefined }

/** Makes the repeated characters that can grow the furthest as many as the shortest text needs. */
function raise(nodes: readonly RegexNode[], min: number): readonly RegexNode[] | undefined {
  const missing = min - lengthsOf(nodes).min
  if (missing <= 0) return nodes
  const room = (node: RegexNode) =>
    node.type === 'repeat' && node.of.type === 'set' ? (node.max ?? Number.POSITIVE_INFINITY) - node.min : 0
  const most = Math.max(0, ...nodes.map(room))
  if (most < missing) return undefined
  const chosen = nodes.findIndex((node) => room(node) === most)
  return nodes.map((node, place) => (place === chosen && node.type === 'repeat' ? { ...node, min: node.min + missing } : node))
}

function shorten(nodes: readonly RegexNode[], max: number): readonly RegexNode[] | undefined {
  const lengths = nodes.map(lengthsOfNode)
  let spare = max - lengths.reduce((sum, one) => sum + one.min, 0)
  if (spare < 0) return undefined
  const growth = lengths.map((one) => (one.max ?? Number.POSITIVE_INFINITY) - one.min)
  // The parts that need the least room first, so that what they leave goes to the others.
  const order = [...nodes.keys()].sort((left, right) => Math.min(growth[left] ?? 0, max) - Math.min(growth[right] ?? 0, max))
  const shortened = [...nodes]
  for (const [turn, place] of order.entries()) {
    const node = nodes[place]
    const own = lengths[place]
    if (node === undefined || own === undefined) return undefined
    const share = Math.min(growth[place] ?? 0, Math.floor(spare / (order.length - turn)))
    const shorter = shortenNode(node, own.min + share)
    if (shorter === undefined) return undefined
    spare -= (lengthsOfNode(shorter).max ?? 0) - own.min
    shortened[place] = shorter
  }
  return shortened
}

function shortenNode(node: RegexNode, max: number): RegexNode | undefined {
  const own = lengthsOfNode(node)
  if (own.max !== undefined && own.max <= max) return node
  switch (node.type) {
    case 'set':
      return undefined
    case 'options': {
      const options = node.options.map((nodes) => shorten(nodes, max)).filter((option) => option !== undefined)
      return options.length === 0 ? undefined : { type: 'options', options }
    }
    case 'repeat': {
      const least = lengthsOfNode(node.of).min
      const times = Math.max(node.min, 1)
      const each = node.of.type === 'set' ? 1 : Math.max(least, Math.floor(max / Math.max(node.min, 2)))
      const of = times * each > max && node.min > 0 ? undefined : shortenNode(node.of, Math.min(each, max))
      if (of === undefined) return node.min === 0 ? { ...node, max: 0 } : undefined
      const longest = Math.max(1, lengthsOfNode(of).max ?? 1)
      return { ...node, of, max: Math.min(node.max ?? Number.POSITIVE_INFINITY, Math.floor(max / longest)) }
    }
  }
}
