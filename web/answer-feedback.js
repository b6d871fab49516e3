// @ts-check
import { create } from './elements.js'
import { createErrorText } from './error-text.js'
import { send } from './service.js'

/** @typedef {'up' | 'down'} Rating */

/**
 * Thumbs for one answer. A thumb is sent at once; a comment goes as a further feedback on the same answer, where the last counts.
 * @param {string} predictionId
 */
export function createAnswerFeedback(predictionId) {
  /** @type {Rating} */
  let rating = 'up'
  const state = create('div', { attributes: { role: 'status' } })
  const thumbs = { up: createThumb('up'), down: createThumb('down') }
  const comment = create('textarea', {
    attributes: { rows: '2', maxlength: '5000', required: '', 'data-label': 'commentLabel', 'data-hint': 'commentHint' },
  })
  const submit = create('button', { say: 'commentSend', attributes: { type: 'submit' } })
  const form = create('form', { class: 'comment' }, comment, submit)
  form.hidden = true
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    void save({ text: comment.value }, () => {
      form.hidden = true
    })
  })

  /** @param {Rating} value */
  function createThumb(value) {
    return create('button', {
      class: `plain thumb ${value}`,
      attributes: { type: 'button', 'aria-pressed': 'false', 'data-label': value === 'up' ? 'rateUp' : 'rateDown' },
      click: () => rate(value),
    })
  }

  /** @param {Rating} value */
  function rate(value) {
    rating = value
    void save({}, () => {
      thumbs.up.setAttribute('aria-pressed', String(value === 'up'))
      thumbs.down.setAttribute('aria-pressed', String(value === 'down'))
      form.hidden = false
    })
  }

  /** @param {Readonly<{ text?: string }>} more @param {() => void} onSaved */
  async function save(more, onSaved) {
    try {
      await send('/feedback', { method: 'POST', body: { prediction_id: predictionId, rating, ...more } })
      state.replaceChildren(create('p', { class: 'quiet', say: 'feedbackThanks' }))
      onSaved()
    } catch (error) {
      state.replaceChildren(createErrorText(error))
    }
  }

  return { thumbs: create('span', { class: 'thumbs' }, thumbs.up, thumbs.down), details: create('div', {}, form, state) }
}
