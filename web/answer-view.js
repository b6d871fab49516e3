// @ts-check
import { create } from './elements.js'
import { createErrorText } from './error-text.js'
import { clearText, setText } from './language.js'

/**
 * @typedef {Readonly<{
 *   id: string
 *   model: string
 *   tokens: number | undefined
 *   tokensPerSecond: number | undefined
 *   ranOn: 'local' | 'cloud' | undefined
 *   end: 'stop' | 'length' | 'stopped'
 * }>} AnswerFacts
 */

/** @typedef {ReturnType<typeof createAnswerView>} AnswerView */

/**
 * One answer as it stands in the conversation. Its text is shown as it is, never as markup.
 * @param {'answer' | 'otherAnswer'} label
 */
export function createAnswerView(label) {
  const text = create('div', { class: 'text' })
  const note = create('p', { class: 'quiet', attributes: { role: 'status' } })
  const foot = create('footer')
  const element = create('article', { class: 'answer', attributes: { 'data-label': label } }, text, note, foot)

  return {
    element,

    start() {
      text.textContent = ''
      clearText(note)
      foot.replaceChildren()
      // Told to screen readers as a whole, when it is there.
      element.setAttribute('aria-busy', 'true')
    },
    /** @param {string} piece */
    add(piece) {
      if (note.textContent !== '') clearText(note)
      text.append(piece)
    },
    /** @param {'waitLoading' | 'waitBusy'} key @param {number} seconds */
    showWait(key, seconds) {
      setText(note, key, { seconds })
    },
    /**
     * Shows what is known of the answer, and what can be done with it.
     * @param {AnswerFacts} facts
     * @param {Readonly<{ actions: readonly Node[], details: readonly Node[] }>} more
     */
    end(facts, { actions, details }) {
      clearText(note)
      element.removeAttribute('aria-busy')
      const tools = actions.length === 0 ? [] : [create('span', { class: 'tools' }, ...actions)]
      foot.replaceChildren(create('div', { class: 'facts' }, describe(facts), ...tools), ...details)
    },
    /** @param {unknown} error @param {() => void} retry */
    fail(error, retry) {
      clearText(note)
      element.removeAttribute('aria-busy')
      const again = create('button', { say: 'tryAgain', attributes: { type: 'button' }, click: retry })
      foot.replaceChildren(create('div', { class: 'failure' }, createErrorText(error), again))
    },
    /** Leaves nothing to do with the answer, or the one thing. @param {Node} [only] */
    leave(only) {
      clearText(note)
      element.removeAttribute('aria-busy')
      foot.replaceChildren(...(only === undefined ? [] : [only]))
    },
    /** @param {string} changed */
    setText(changed) {
      text.textContent = changed
    },
    /** Puts a form in the place of the text, until it is removed. @param {HTMLElement} form */
    edit(form) {
      text.hidden = true
      foot.hidden = true
      text.after(form)
    },
    /** @param {HTMLElement} form */
    endEdit(form) {
      form.remove()
      text.hidden = false
      foot.hidden = false
    },
  }
}

/** @param {AnswerFacts} facts */
function describe({ model, tokens, tokensPerSecond, ranOn, end }) {
  const facts = [
    ...(model === '' ? [] : [create('span', { text: model })]),
    ...(tokens === undefined ? [] : [create('span', { say: 'tokens', values: { count: tokens } })]),
    ...(tokensPerSecond === undefined ? [] : [create('span', { say: 'tokenRate', values: { rate: tokensPerSecond } })]),
    ...(ranOn === undefined ? [] : [create('span', { say: ranOn === 'local' ? 'ranHere' : 'ranInCloud' })]),
    ...(end === 'stop' ? [] : [create('span', { say: end === 'length' ? 'tooLong' : 'stopped' })]),
  ]
  return create('p', { class: 'quiet' }, ...facts)
}
