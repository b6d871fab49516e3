// @ts-check
import { setText, translate } from './language.js'

/**
 * @typedef {Readonly<{
 *   class?: string
 *   text?: string
 *   say?: import('./texts.js').TextKey
 *   values?: import('./language.js').Values
 *   attributes?: Readonly<Record<string, string>>
 *   click?: () => void
 * }>} ElementOptions
 */

/**
 * An element with text and children. `text` is shown as it stands, `say` in the person's language; neither is ever markup.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {ElementOptions} [options]
 * @param {...Node} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function create(name, options = {}, ...children) {
  const element = document.createElement(name)
  for (const [attribute, value] of Object.entries(options.attributes ?? {})) element.setAttribute(attribute, value)
  if (options.class !== undefined) element.className = options.class
  if (options.say !== undefined) setText(element, options.say, options.values)
  if (options.text !== undefined) element.textContent = options.text
  if (options.click !== undefined) element.addEventListener('click', options.click)
  element.append(...children)
  translate(element)
  return element
}

/**
 * The element of the page with this id.
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function get(id, type) {
  const element = document.getElementById(id)
  if (element instanceof type) return element
  throw new Error(`The page has no ${type.name} "${id}".`)
}

/** A moment, in the person's way of writing it. @param {string} iso */
export function createTime(iso) {
  return create('time', { attributes: { datetime: iso } })
}
