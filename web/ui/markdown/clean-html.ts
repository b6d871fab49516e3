import purify from 'dompurify'
import { hasMarks, markEnd, markStart } from './sentence-marks.ts'

/** The second wall behind `renderToken`, which already makes text of all that it does not know. */
const rules = {
  USE_PROFILES: { html: true, mathMl: true },
  FORBID_TAGS: [
    'img',
    'picture',
    'video',
    'audio',
    'source',
    'form',
    'input',
    'textarea',
    'select',
    'style',
    'link',
    'svg',
    'template',
  ],
  FORBID_ATTR: ['style', 'srcset', 'src', 'background', 'ping', 'id', 'name'],
  ADD_ATTR: ['target', 'tabindex', 'mathcolor'],
  // Every attribute is held against it: what is no address may stay.
  ALLOWED_URI_REGEXP: /^(?:(?:https?|mailto):|[^a-z]|[a-z+.-]+(?:[^a-z+.\-:]|$))/i,
}

/** HTML that can be shown: no script, no style of its own, nothing that is loaded from elsewhere. */
export function cleanHtml(html: string, unsupportedLabel = ''): string {
  if (!hasMarks(html)) return purify.sanitize(html, rules)
  const fragment = purify.sanitize(html, { ...rules, RETURN_DOM_FRAGMENT: true })
  wrapMarked(fragment, unsupportedLabel)
  const box = document.createElement('div')
  box.append(fragment)
  return box.innerHTML
}

/** Makes `<mark>` of what stands between the marks, through all elements that begin or end inside. */
function wrapMarked(root: DocumentFragment, label: string): void {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT)
  const texts: Node[] = []
  while (walker.nextNode() !== null) texts.push(walker.currentNode)
  let isOpen = false
  for (const node of texts) {
    const parts: Node[] = []
    for (const part of (node.nodeValue ?? '').split(new RegExp(`([${markStart}${markEnd}])`))) {
      if (part === markStart) isOpen = true
      else if (part === markEnd) isOpen = false
      else if (part !== '') parts.push(isOpen && part.trim() !== '' ? createMark(part, label) : document.createTextNode(part))
    }
    node.parentNode?.replaceChild(fragmentOf(parts), node)
  }
}

function createMark(text: string, label: string): Node {
  const mark = document.createElement('mark')
  mark.className = 'unsupported'
  mark.title = label
  mark.textContent = text
  return mark
}

function fragmentOf(parts: readonly Node[]): DocumentFragment {
  const fragment = document.createDocumentFragment()
  fragment.append(...parts)
  return fragment
}
