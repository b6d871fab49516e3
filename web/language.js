// @ts-check
import { texts } from './texts.js'

/** @typedef {import('./texts.js').TextKey} TextKey */
/** @typedef {import('./texts.js').Language} Language */
/** @typedef {Readonly<Record<string, string | number>>} Values */

const storageKey = 'simpleia-language'

/** @type {Language} */
let language = chooseLanguage()

/** The person's choice, else the first of the browser's languages that we speak, else English. @returns {Language} */
function chooseLanguage() {
  const wanted = [readChoice() ?? '', ...navigator.languages].map((tag) => tag.slice(0, 2).toLowerCase())
  return wanted.find((tag) => tag === 'es' || tag === 'en') === 'es' ? 'es' : 'en'
}

// Browsers that keep nothing for a page throw here: the choice then holds until the page is left.
function readChoice() {
  try {
    return localStorage.getItem(storageKey)
  } catch {
    return null
  }
}

/** @returns {Language} */
export function currentLanguage() {
  return language
}

/** Speaks another language from now on, on what is shown already too. @param {Language} chosen */
export function switchLanguage(chosen) {
  language = chosen
  try {
    localStorage.setItem(storageKey, chosen)
  } catch {
    // See readChoice.
  }
  translate(document)
}

/**
 * A text in the person's language.
 * @param {TextKey} key
 * @param {Values} [values]
 */
export function say(key, values = {}) {
  return texts[key][language].replace(/\{(\w+)\}/g, (place, name) => {
    const value = values[name] ?? place
    return typeof value === 'number' ? value.toLocaleString(language, { maximumFractionDigits: 1 }) : value
  })
}

/**
 * Shows a text in an element, and again when the language changes.
 * @template {HTMLElement} T
 * @param {T} element
 * @param {TextKey} key
 * @param {Values} [values]
 * @returns {T}
 */
export function setText(element, key, values = {}) {
  element.dataset.text = key
  element.dataset.values = JSON.stringify(values)
  element.textContent = say(key, values)
  return element
}

/** Removes the text of an element. @param {HTMLElement} element */
export function clearText(element) {
  delete element.dataset.text
  element.textContent = ''
}

/** Fills in every text of an element or page that is marked with its key. @param {ParentNode} root */
export function translate(root) {
  document.documentElement.lang = language
  for (const element of marked(root, '[data-text]')) {
    element.textContent = say(toKey(element.dataset.text), JSON.parse(element.dataset.values ?? '{}'))
  }
  for (const element of marked(root, '[data-label]')) element.setAttribute('aria-label', say(toKey(element.dataset.label)))
  for (const element of marked(root, '[data-hint]')) element.setAttribute('placeholder', say(toKey(element.dataset.hint)))
  for (const element of marked(root, 'time')) element.textContent = formatTime(element.getAttribute('datetime') ?? '')
}

/** The element itself and those in it. @param {ParentNode} root @param {string} selector @returns {HTMLElement[]} */
function marked(root, selector) {
  /** @type {NodeListOf<HTMLElement>} */
  const inside = root.querySelectorAll(selector)
  return root instanceof HTMLElement && root.matches(selector) ? [root, ...inside] : [...inside]
}

/** @param {string | undefined} key @returns {TextKey} */
function toKey(key) {
  for (const known of /** @type {TextKey[]} */ (Object.keys(texts))) if (known === key) return known
  throw new Error(`No text is called "${key}".`)
}

/** @param {string} iso */
function formatTime(iso) {
  return new Date(iso).toLocaleString(language, { dateStyle: 'medium', timeStyle: 'short' })
}
