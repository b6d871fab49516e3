// @ts-check
import { createAnswerRecord } from './answer-record.js'
import { askModel } from './ask-model.js'
import { get } from './elements.js'
import { clearText, setText, translate } from './language.js'
import { isSignInNeeded, load } from './service.js'
import { createSession } from './session.js'
import { createTurn } from './turn.js'

/** @typedef {ReturnType<typeof createTurn>} Turn */

const page = {
  welcome: get('welcome', HTMLElement),
  conversation: get('conversation', HTMLElement),
  form: get('ask', HTMLFormElement),
  question: get('question', HTMLTextAreaElement),
  send: get('send', HTMLButtonElement),
  stop: get('stop', HTMLButtonElement),
  startAgain: get('new', HTMLButtonElement),
  model: get('model', HTMLElement),
}

/** What the model is told of the conversation: the questions that were answered, with their answers. */
let messages = /** @type {import('./ask-model.js').Message[]} */ ([])
let running = /** @type {AbortController | undefined} */ (undefined)
let ranOn = /** @type {'local' | 'cloud' | undefined} */ (undefined)

const session = createSession({
  navigation: get('navigation', HTMLElement),
  page: 'chat',
  onChange: () => void showModel(),
})

/** Shows which model answers, and learns where it runs; asks for a name and password where the service wants them. */
async function showModel() {
  clearText(page.model)
  try {
    /** @type {import('./service.js').Model} */
    const model = await load('/model')
    ranOn = model.ran_on
    if (model.state === 'loading') setText(page.model, 'modelLoading')
    else page.model.textContent = model.model_name
  } catch (error) {
    if (isSignInNeeded(error)) session.openSignIn()
  }
}

/** @param {string} question */
function ask(question) {
  const turn = createTurn(question)
  page.welcome.hidden = true
  page.startAgain.hidden = false
  page.conversation.append(turn.element)
  scrollToEnd()
  return answer(turn, question)
}

/** Has a question answered in its place; a failure leaves a button there that tries again. @param {Turn} turn @param {string} question */
async function answer(turn, question) {
  if (running !== undefined) return
  const stopping = new AbortController()
  running = stopping
  showRunning(true)
  turn.start()
  const record = createAnswerRecord()
  const known = messages
  const asked = /** @type {const} */ ({ role: 'user', content: question })
  try {
    for await (const event of askModel([...known, asked], stopping.signal, turn.showWait)) {
      record.note(event)
      if (event.type === 'text') keepInSight(() => turn.add(event.text))
    }
  } catch (error) {
    if (!stopping.signal.aborted) return fail(turn, question, error)
  } finally {
    running = undefined
    showRunning(false)
  }
  const content = record.text()
  // Not so when a new conversation has begun meanwhile.
  if (content !== '' && messages === known) messages = [...known, asked, { role: 'assistant', content }]
  const facts = record.facts()
  keepInSight(() => turn.end({ ...facts, ranOn, end: stopping.signal.aborted ? 'stopped' : facts.end }))
  if (facts.model !== '' && page.model.textContent !== facts.model) await showModel()
}

/** @param {Turn} turn @param {string} question @param {unknown} error */
function fail(turn, question, error) {
  keepInSight(() => turn.fail(error, () => void answer(turn, question)))
  if (isSignInNeeded(error)) session.openSignIn()
}

/** Makes a change; a reader who was at the end of the page stays there. @param {() => void} change */
function keepInSight(change) {
  const root = document.documentElement
  const wasAtEnd = root.scrollHeight - root.scrollTop - root.clientHeight < 80
  change()
  if (wasAtEnd) scrollToEnd()
}

function scrollToEnd() {
  document.documentElement.scrollTop = document.documentElement.scrollHeight
}

/** @param {boolean} isRunning */
function showRunning(isRunning) {
  const hadFocus = document.activeElement === page.stop
  page.stop.hidden = !isRunning
  page.send.hidden = isRunning
  if (hadFocus && !isRunning) page.question.focus()
}

function stop() {
  running?.abort()
}

page.form.addEventListener('submit', (event) => {
  event.preventDefault()
  const question = page.question.value
  if (question.trim() === '' || running !== undefined) return
  page.question.value = ''
  void ask(question)
})
page.question.addEventListener('keydown', (event) => {
  // Enter that only ends the composing of a character is not meant for us.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
  event.preventDefault()
  page.form.requestSubmit()
})
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') stop()
})
page.stop.addEventListener('click', stop)
page.startAgain.addEventListener('click', () => {
  stop()
  messages = []
  page.conversation.replaceChildren()
  page.welcome.hidden = false
  page.startAgain.hidden = true
  page.question.focus()
})

translate(document)
void session.refresh()
page.question.focus()
