// @ts-check
import { get } from './elements.js'
import { createExchange } from './exchange.js'
import { clearText, setText, translate } from './language.js'
import { isSignInNeeded, load } from './service.js'
import { createSession } from './session.js'

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

/** The conversation, in its order. Questions without an answer are not told to the model. */
let exchanges = /** @type {import('./exchange.js').Exchange[]} */ ([])
let running = /** @type {AbortController | undefined} */ (undefined)
/** Whether only models of this machine can answer. */
let isLocal = true

const session = createSession({
  navigation: get('navigation', HTMLElement),
  page: 'chat',
  onChange: changeUser,
})
/** Who is signed in; undefined: nobody. */
let userId = /** @type {string | undefined} */ (undefined)

/** What a user said is for nobody who sits here after them, nor sent on in their name. @param {import('./service.js').User | undefined} user */
function changeUser(user) {
  if (userId !== undefined && userId !== user?.id) startAgain()
  userId = user?.id
  void showModel()
}

/** Shows which model answers, and learns who may; asks for a name and password where the service wants them. */
async function showModel() {
  clearText(page.model)
  try {
    /** @type {import('./service.js').Model} */
    const model = await load('/model')
    /** @type {{ routes: readonly string[] }} */
    const { routes } = await load('/providers')
    isLocal = model.provider === 'hf' && !routes.includes('default')
    if (model.state === 'loading') setText(page.model, 'modelLoading')
    else page.model.textContent = model.model_name
  } catch (error) {
    if (isSignInNeeded(error)) session.openSignIn()
  }
}

/** @param {string} question */
function ask(question) {
  const before = exchanges.flatMap((exchange) => exchange.messages())
  const exchange = createExchange(question, before, { run, keepInSight, isLocal: () => isLocal, onAnswer, onFail })
  exchanges.push(exchange)
  page.welcome.hidden = true
  page.startAgain.hidden = false
  page.conversation.append(exchange.element)
  scrollToEnd()
  exchange.start()
}

/** Does one thing at a time, which the person can stop. @param {(signal: AbortSignal) => Promise<void>} work */
function run(work) {
  if (running !== undefined) return
  const stopping = new AbortController()
  running = stopping
  showRunning(true)
  void work(stopping.signal).finally(() => {
    running = undefined
    showRunning(false)
  })
}

/** @param {import('./answer-view.js').AnswerFacts} facts */
function onAnswer({ model }) {
  if (model !== '' && page.model.textContent !== model) void showModel()
}

/** @param {unknown} error */
function onFail(error) {
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
  ask(question)
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
page.startAgain.addEventListener('click', startAgain)

function startAgain() {
  stop()
  exchanges = []
  page.conversation.replaceChildren()
  page.welcome.hidden = false
  page.startAgain.hidden = true
  page.question.focus()
}

translate(document)
void session.refresh()
page.question.focus()
