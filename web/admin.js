// @ts-check
import { toEgressItem, toEgressTotals } from './egress-list.js'
import { create, createTime, get } from './elements.js'
import { createErrorText } from './error-text.js'
import { clearText, setText, translate } from './language.js'
import { createPullForm } from './pull-model.js'
import { load, ServiceError } from './service.js'
import { createSession } from './session.js'

/** @typedef {import('./service.js').Model} Model */
/** @typedef {Readonly<{ id: string, username: string, role: 'admin' | 'user', created_at: string }>} ListedUser */
/**
 * @typedef {Readonly<{
 *   rating: 'up' | 'down' | null
 *   text: string | null
 *   correction: string | null
 *   prediction_id: string | null
 *   created_at: string
 *   rejected_prediction_id: string | null
 *   tags: readonly string[]
 * }>} Feedback
 */

const gate = get('gate', HTMLElement)
const panels = get('panels', HTMLElement)
const choice = get('choice', HTMLSelectElement)
const switchState = get('switch-state', HTMLElement)

const pullForm = createPullForm({ onInstalled: showModel })
const session = createSession({ navigation: get('navigation', HTMLElement), page: 'admin', onChange: (user) => void show(user) })
const users = createPagedList({ path: '/admin/users', list: 'users', button: 'more-users', toItem: toUserItem })
const feedback = createPagedList({
  path: '/feedback',
  list: 'feedback',
  button: 'more-feedback',
  none: 'feedbackNone',
  toItem: toFeedbackItem,
})
const egress = createPagedList({
  path: '/admin/egress',
  list: 'egress',
  button: 'more-egress',
  none: 'egressNone',
  toItem: toEgressItem,
  onPage: (/** @type {import('./egress-list.js').EgressPage} */ page) =>
    get('egress-totals', HTMLElement).replaceChildren(...toEgressTotals(page)),
})

/** Opens the panels to an admin; everyone else is told what is missing. @param {import('./service.js').User | undefined} user */
async function show(user) {
  panels.hidden = true
  gate.hidden = false
  for (const list of [users, egress, feedback]) list.clear()
  if (user === undefined) {
    setText(gate, 'adminNeeded')
    return session.openSignIn()
  }
  if (user.role !== 'admin') return void setText(gate, 'adminOnly', { username: user.username })
  try {
    await Promise.all([showHealth(), showModel(), users.showMore(), egress.showMore(), feedback.showMore()])
    gate.hidden = true
    panels.hidden = false
    await pullForm.resume()
  } catch (error) {
    clearText(gate)
    gate.replaceChildren(createErrorText(error))
  }
}

async function showHealth() {
  /** @type {{ version: string, uptime_seconds: number }} */
  const { version, uptime_seconds: uptimeSeconds } = await load('/health')
  const ready = await load('/health/ready').then(
    () => create('span', { say: 'ready' }),
    (/** @type {unknown} */ error) => createErrorText(error),
  )
  const minutes = Math.floor(uptimeSeconds / 60)
  const uptime = create('span', { say: 'uptimeMinutes', values: { minutes } })
  const version_ = create('span', { text: version })
  get('health', HTMLElement).replaceChildren(...fact('state', ready), ...fact('version', version_), ...fact('uptime', uptime))
}

async function showModel() {
  /** @type {[Model, { models: { name: string, kind: string, selected: boolean }[] }]} */
  const [model, { models }] = await Promise.all([load('/model'), load('/models')])
  const name = model.model_name === null ? create('span', { say: 'modelNone' }) : create('span', { text: model.model_name })
  const facts = [
    ...fact('modelName', name),
    ...(model.quantization === undefined ? [] : fact('quantization', create('span', { text: model.quantization }))),
    ...(model.device === undefined ? [] : fact('device', create('span', { text: model.device }))),
    ...(model.context_size === undefined ? [] : fact('contextSize', tokens(model.context_size))),
  ]
  get('current-model', HTMLElement).replaceChildren(...facts)
  choice.replaceChildren(
    ...models.filter(isForAnswers).map(({ name, selected }) => {
      const option = selected ? create('option', { say: 'loaded', values: { name } }) : create('option', { text: name })
      option.value = name
      option.selected = selected
      return option
    }),
  )
}

/** Embedding models and the like cannot be switched to; what a file is that cannot be read, the attempt tells. @param {{ kind: string }} model */
const isForAnswers = ({ kind }) => kind === 'chat' || kind === 'unknown'

/** @param {number} count */
const tokens = (count) => create('span', { say: 'tokens', values: { count } })

/** @param {import('./texts.js').TextKey} name @param {Node} value */
function fact(name, value) {
  return [create('dt', { say: name }), create('dd', {}, value)]
}

async function switchModel() {
  const name = choice.value
  setText(switchState, 'modelSwitching', { name })
  try {
    await load('/model', { method: 'POST', body: { model_name: name } })
    await showModel()
    setText(switchState, 'modelSwitched', { name })
  } catch (error) {
    clearText(switchState)
    switchState.replaceChildren(createErrorText(error))
    if (error instanceof ServiceError && error.status === 401) await session.refresh()
  }
}

/**
 * A list that comes in pages, newest first.
 * @template Item
 * @template {{ items: Item[], next_cursor: string | null }} Page
 * @param {Readonly<{
 *   path: string
 *   list: string
 *   button: string
 *   none?: import('./texts.js').TextKey
 *   toItem: (item: Item) => HTMLElement
 *   onPage?: (page: Page) => void
 * }>} options
 */
function createPagedList({ path, list, button, none, toItem, onPage }) {
  const element = get(list, HTMLElement)
  const more = get(button, HTMLButtonElement)
  let cursor = /** @type {string | null} */ (null)

  async function showMore() {
    const query = new URLSearchParams({ limit: '20', ...(cursor === null ? {} : { cursor }) })
    /** @type {Page} */
    const page = await load(`${path}?${query}`)
    cursor = page.next_cursor
    element.append(...page.items.map(toItem))
    onPage?.(page)
    if (element.childElementCount === 0 && none !== undefined) element.append(create('li', { class: 'quiet', say: none }))
    more.hidden = cursor === null
  }
  function clear() {
    cursor = null
    element.replaceChildren()
    more.hidden = true
  }
  more.addEventListener('click', () => void showMore().catch((error) => element.append(create('li', {}, createErrorText(error)))))
  return { showMore, clear }
}

/** @param {ListedUser} user */
function toUserItem({ username, role, created_at: createdAt }) {
  const details = create('span', { class: 'quiet' }, create('span', { say: role === 'admin' ? 'roleAdmin' : 'roleUser' }))
  details.append(' ', create('span', { say: 'since' }), ' ', createTime(createdAt))
  return create('li', {}, create('span', { class: 'text', text: username }), details)
}

/** @param {Feedback} item */
function toFeedbackItem(item) {
  const { rating, text, correction, tags, prediction_id: predictionId, rejected_prediction_id: rejectedId } = item
  const head = create('p', { class: 'quiet' })
  if (rating !== null) {
    const label = rating === 'up' ? 'rateUp' : 'rateDown'
    head.append(create('span', { class: `thumb ${rating}`, attributes: { role: 'img', 'data-label': label } }), ' ')
  }
  head.append(createTime(item.created_at))
  if (predictionId !== null) head.append(' ', create('code', { text: predictionId }))
  if (rejectedId !== null) head.append(' ', create('span', { say: 'keptOver', values: { id: rejectedId } }))
  head.append(...tags.flatMap((tag) => [' ', create('span', { class: 'tag', text: tag })]))
  return create(
    'li',
    {},
    ...(text === null ? [] : [create('p', { class: 'text', text })]),
    ...(correction === null ? [] : [create('p', { class: 'text correction', text: correction })]),
    head,
  )
}

get('switch', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault()
  void switchModel()
})

translate(document)
void session.refresh()
