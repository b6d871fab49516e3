// @ts-check
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
  onChange: () => void showModel().catch(() => setText(page.model, 'modelNone')),
})

/** Shows which model answers, and learns where it runs. */
async function showModel() {
  /** @type {import('./service.js').Model} */
  const model = await load('/model')
  ranOn = model.provider === 'hf' ? 'local' : 'cloud'
  clearText(page.model)
  page.model.textContent = model.model_name ?? ''
}

/** @param {string} question */
async function ask(question) {
  const turn = createTurn(question)
  page.welcome.hidden = true
  page.startAgain.hidden = false
  page.conversation.append(turn.element)
  turn.element.scrollIntoView({ block: 'end' })
  await answer(turn, question)
}

/** Has a question answered in its place; a failure leaves a button there that tries again. @param {Turn} turn @param {string} question */
async function answer(turn, question) {
  if (running !== undefined) return
  const stopping = new AbortController()
  running = stopping
  showRunning(true)
  turn.start()
  const known = messages
  const written = {
    text: '',
    id: '',
    model: '',
    tokens: 0,
    reason: /** @type {'stop' | 'length'} */ ('stop'),
    firstMs: 0,
    lastMs: 0,
  }
  try {
    const asked = /** @type {const} */ ({ role: 'user', content: question })
    for await (const event of askModel([...known, asked], stopping.signal, turn.showWait)) {
      if (event.type === 'text') {
        written.lastMs = performance.now()
        if (written.text === '') written.firstMs = written.lastMs
        written.id = event.id
        written.model = event.model
        written.text += event.text
        keepInSight(() => turn.add(event.text))
      }
      if (event.type === 'choice-end') written.reason = event.reason
      if (event.type === 'usage') written.tokens = event.completionTokens
    }
    end(written.reason)
  } catch (error) {
    if (stopping.signal.aborted) end('stopped')
    else fail(error)
  } finally {
    if (running === stopping) {
      running = undefined
      showRunning(false)
    }
  }

  /** @param {'stop' | 'length' | 'stopped'} reason */
  function end(reason) {
    const { text, id, model, tokens } = written
    if (text !== '' && messages === known)
      messages = [...known, { role: 'user', content: question }, { role: 'assistant', content: text }]
    const seconds = (written.lastMs - written.firstMs) / 1000
    const tokensPerSecond = tokens > 1 && seconds > 0 ? (tokens - 1) / seconds : undefined
    keepInSight(() => turn.end({ id, model, tokens: tokens || undefined, tokensPerSecond, ranOn, end: reason }))
  }

  /** @param {unknown} error */
  function fail(error) {
    keepInSight(() => turn.fail(error, () => void answer(turn, question)))
    if (isSignInNeeded(error)) session.openSignIn()
  }
}

/** Makes a change; a reader who was at the end of the page stays there. @param {() => void} change */
function keepInSight(change) {
  const root = document.documentElement
  const wasAtEnd = root.scrollHeight - root.scrollTop - root.clientHeight < 80
  change()
  if (wasAtEnd) root.scrollTop = root.scrollHeight
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
