// @ts-check
import { create } from './elements.js'
import { createErrorText } from './error-text.js'
import { send } from './service.js'

/** @typedef {'up' | 'down'} Rating */
/** @typedef {ReturnType<typeof createAnswerFeedback>} AnswerFeedback */

/**
 * Feedback on one answer. A thumb is sent at once; what comes later goes as a further feedback on the same answer, where the last
 * counts, and which therefore repeats what was written of it, how it was corrected and over which one it was kept.
 * @param {string} predictionId
 */
export function createAnswerFeedback(predictionId) {
  /** @type {Rating | undefined} */
  let rating
  /** @type {string | undefined} */
  let correction
  /** @type {string | undefined} */
  let rejectedId
  /** @type {string | undefined} */
  let text
  const state = create('div', { attributes: { role: 'status' } })
  const thumbs = { up: createThumb('up'), down: createThumb('down') }
  const field = create('textarea', {
    attributes: { rows: '2', maxlength: '5000', required: '', 'data-label': 'commentLabel', 'data-hint': 'commentHint' },
  })
  const submit = create('button', { say: 'commentSend', attributes: { type: 'submit' } })
  const form = create('form', { class: 'comment' }, field, submit)
  form.hidden = true
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    void tell(
      save({ rating: rating ?? 'up', text: field.value }).then(() => {
        form.hidden = true
      }),
    )
  })

  /** @param {Rating} value */
  function createThumb(value) {
    return create('button', {
      class: `plain thumb ${value}`,
      attributes: { type: 'button', 'aria-pressed': 'false', 'data-label': value === 'up' ? 'rateUp' : 'rateDown' },
      click: () =>
        void tell(
          save({ rating: value }).then(() => {
            form.hidden = false
          }),
        ),
    })
  }

  /** @param {Rating} value */
  function press(value) {
    rating = value
    thumbs.up.setAttribute('aria-pressed', String(value === 'up'))
    thumbs.down.setAttribute('aria-pressed', String(value === 'down'))
  }

  /**
   * Throws what `send` throws.
   * @param {Readonly<{ rating: Rating, text?: string, correction?: string, rejectedId?: string }>} given
   */
  async function save(given) {
    const corrected = given.correction ?? correction
    const comment = given.text ?? text
    // Who dislikes an answer does not keep it over another one.
    const rejected = given.rating === 'up' ? (given.rejectedId ?? rejectedId) : undefined
    const body = {
      prediction_id: predictionId,
      rating: given.rating,
      ...(comment === undefined ? {} : { text: comment }),
      ...(corrected === undefined ? {} : { correction: corrected }),
      ...(rejected === undefined ? {} : { rejected_prediction_id: rejected }),
    }
    /** @type {{ prediction?: 'known' | 'unknown' }} */
    const saved = await (await send('/feedback', { method: 'POST', body })).json()
    correction = corrected
    text = comment
    rejectedId = rejected
    press(given.rating)
    const say = saved.prediction === 'unknown' ? 'feedbackUnknown' : 'feedbackThanks'
    state.replaceChildren(create('p', { class: 'quiet', say }))
  }

  /** @param {unknown} error */
  const showError = (error) => state.replaceChildren(createErrorText(error))

  /** @param {Promise<void>} saving */
  async function tell(saving) {
    await saving.catch(showError)
  }

  return {
    thumbs: create('span', { class: 'thumbs' }, thumbs.up, thumbs.down),
    details: create('div', {}, form, state),
    /** Throws what `send` throws. An answer that is corrected was not good, unless its reader has said so. @param {string} text */
    correct: (text) => save({ rating: rating ?? 'down', correction: text }),
    /** @param {string} id */
    keepOver: (id) => tell(save({ rating: 'up', rejectedId: id })),
    showError,
  }
}
