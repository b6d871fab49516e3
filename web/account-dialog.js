// @ts-check
import { create } from './elements.js'
import { createErrorText } from './error-text.js'
import { setText } from './language.js'
import { send } from './service.js'

/**
 * The dialog in which a person signs in, or opens an account and is signed in with it.
 * @param {Readonly<{ onSignedIn: () => void }>} options
 */
export function createAccountDialog({ onSignedIn }) {
  let registers = false
  const title = create('h2', { attributes: { id: 'account-title' } })
  const username = createField('username', { autocomplete: 'username', maxlength: '64', autocapitalize: 'none' })
  const password = createField('password', { type: 'password', maxlength: '1024' })
  const problem = create('div')
  const submit = create('button', { class: 'main', attributes: { type: 'submit' } })
  const other = create('button', { class: 'plain', attributes: { type: 'button' }, click: () => choose(!registers) })
  const first = create('p', { class: 'quiet', say: 'registerFirst' })
  const cancel = create('button', { say: 'cancel', attributes: { type: 'button' }, click: () => dialog.close() })
  const actions = create('div', { class: 'actions' }, other, cancel, submit)
  const form = create('form', { attributes: { method: 'dialog' } }, title, first, username.row, password.row, problem, actions)
  const dialog = create('dialog', { attributes: { 'aria-labelledby': 'account-title' } }, form)
  document.body.append(dialog)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    void signIn()
  })

  /** @param {boolean} toRegister */
  function choose(toRegister) {
    registers = toRegister
    setText(title, registers ? 'register' : 'signIn')
    setText(submit, registers ? 'register' : 'signIn')
    setText(other, registers ? 'signInInstead' : 'registerInstead')
    for (const element of [first, username.rule, password.rule]) element.hidden = !registers
    password.input.autocomplete = registers ? 'new-password' : 'current-password'
    problem.replaceChildren()
  }

  async function signIn() {
    const body = { username: username.input.value, password: password.input.value }
    problem.replaceChildren()
    submit.disabled = true
    try {
      if (registers) await send('/auth/register', { method: 'POST', body })
      await send('/auth/login', { method: 'POST', body })
      dialog.close()
      onSignedIn()
    } catch (error) {
      problem.replaceChildren(createErrorText(error, { 401: 'errorSignIn' }))
    } finally {
      submit.disabled = false
    }
  }

  function open() {
    choose(false)
    form.reset()
    if (!dialog.open) dialog.showModal()
    username.input.focus()
  }

  choose(false)
  return { open }
}

/** @param {'username' | 'password'} name @param {Readonly<Record<string, string>>} attributes */
function createField(name, attributes) {
  const ruleId = `${name}-rule`
  const input = create('input', { attributes: { id: name, name, required: '', 'aria-describedby': ruleId, ...attributes } })
  const rule = create('small', { say: name === 'username' ? 'usernameRule' : 'passwordRule', attributes: { id: ruleId } })
  const label = create('label', { say: name, attributes: { for: name } })
  return { input, rule, row: create('div', { class: 'field' }, label, input, rule) }
}
