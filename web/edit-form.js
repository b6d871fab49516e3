// @ts-check
import { create } from './elements.js'
import { createErrorText } from './error-text.js'

/**
 * A form in the place of an answer, in which it is corrected.
 * @param {string} text
 * @param {Readonly<{ save: (corrected: string) => Promise<void>, cancel: () => void }>} options `save` may throw; the form then stays.
 */
export function createEditForm(text, { save, cancel }) {
  const field = create('textarea', {
    attributes: { rows: '8', maxlength: '100000', required: '', 'data-label': 'editLabel' },
  })
  field.value = text
  const state = create('div', { attributes: { role: 'status' } })
  const submit = create('button', { class: 'main', say: 'editSave', attributes: { type: 'submit' } })
  const leave = create('button', { say: 'cancel', attributes: { type: 'button' }, click: cancel })
  const form = create('form', { class: 'edit' }, field, create('div', { class: 'actions' }, submit, leave), state)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    submit.disabled = true
    save(field.value)
      .catch((error) => state.replaceChildren(createErrorText(error)))
      .finally(() => {
        submit.disabled = false
      })
  })
  field.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') cancel()
  })
  return { element: form, focus: () => field.focus() }
}
