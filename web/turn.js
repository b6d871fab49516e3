// @ts-check
import { createAnswerFeedback } from './answer-feedback.js'
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

/**
 * A question with its answer, as they stand in the conversation. Texts are shown as they are, never as markup.
 * @param {string} question
 */
export function createTurn(question) {
  const text = create('div', { class: 'text' })
  const note = create('p', { class: 'quiet', attributes: { role: 'status' } })
  const foot = create('footer')
  const answer = create('article', { class: 'answer', attributes: { 'data-label': 'answer' } }, text, note, foot)
  const asked = create(
    'article',
    { class: 'asked', attributes: { 'data-label': 'you' } },
    create('p', { class: 'text', text: question }),
  )

  return {
    element: create('div', { class: 'turn' }, asked, answer),

    start() {
      text.textContent = ''
      clearText(note)
      foot.replaceChildren()
      // Told to screen readers as a whole, when it is there.
      answer.setAttribute('aria-busy', 'true')
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
    /** @param {AnswerFacts} facts */
    end(facts) {
      clearText(note)
      answer.removeAttribute('aria-busy')
      const feedback = facts.id === '' ? undefined : createAnswerFeedback(facts.id)
      const line = create('div', { class: 'facts' }, describe(facts))
      if (feedback !== undefined) line.append(feedback.thumbs)
      foot.replaceChildren(line, ...(feedback === undefined ? [] : [feedback.details]))
    },
    /** @param {unknown} error @param {() => void} retry */
    fail(error, retry) {
      clearText(note)
      answer.removeAttribute('aria-busy')
      const again = create('button', { say: 'tryAgain', attributes: { type: 'button' }, click: retry })
      foot.replaceChildren(create('div', { class: 'failure' }, createErrorText(error), again))
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
