// @ts-check
import { get } from './elements.js'
import { createErrorText } from './error-text.js'
import { readEventStream } from './event-stream.js'
import { clearText, setText } from './language.js'
import { load, ServiceError, send } from './service.js'

/**
 * @typedef {Readonly<{ id: string, type: string, received_bytes: number, total_bytes: number, bytes_per_second: number,
 *   seconds_left: number | null, done: number, total: number, name?: string }>} Progress
 */

const form = get('pull', HTMLFormElement)
const nameField = get('pull-name', HTMLInputElement)
const stopButton = get('pull-stop', HTMLButtonElement)
const bar = get('pull-progress', HTMLProgressElement)
const state = get('pull-state', HTMLElement)

const megabyte = 1024 ** 2

/**
 * The form that downloads a model from the hub. A download goes on when the page is closed; opened again, it shows it.
 * @param {Readonly<{ onInstalled: () => Promise<void> }>} options
 */
export function createPullForm({ onInstalled }) {
  /** @type {string | undefined} */
  let running

  /** @param {string} name */
  async function pull(name) {
    setText(state, 'pullStarting', { name })
    show(true)
    try {
      const response = await send('/models/pull', { method: 'POST', body: { name } })
      for await (const data of readEventStream(response)) if (data !== '') await take(JSON.parse(data), name)
    } catch (error) {
      fail(error)
    } finally {
      running = undefined
      show(false)
    }
  }

  /** @param {Progress & { error?: { code: string, message: string } }} event @param {string} name */
  async function take(event, name) {
    running = event.id ?? running
    if (event.error !== undefined) throw new ServiceError(event.error)
    switch (event.type) {
      case 'download-progress':
        return showProgress(event)
      case 'convert-progress':
        bar.value = event.done / event.total
        return setText(state, 'pullConverting', { done: event.done, total: event.total })
      case 'file-check':
        return setText(state, 'pullChecking')
      case undefined:
        setText(state, 'pullDone', { name: event.name ?? name })
        return onInstalled()
    }
  }

  /** @param {unknown} error */
  function fail(error) {
    clearText(state)
    if (error instanceof ServiceError && error.code === 'aborted') setText(state, 'pullStopped')
    else state.replaceChildren(createErrorText(error, { 503: 'pullNoHub' }))
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault()
    const name = nameField.value.trim()
    if (name !== '') void pull(name)
  })
  stopButton.addEventListener('click', () => {
    if (running !== undefined) void send(`/models/pulls/${encodeURIComponent(running)}`, { method: 'DELETE' }).catch(fail)
  })

  return {
    /** Shows a download that is under way already. */
    async resume() {
      /** @type {{ pulls: { name: string }[] }} */
      const { pulls } = await load('/models/pulls')
      const [first] = pulls
      if (first !== undefined && running === undefined) void pull(first.name)
    },
  }
}

/** @param {Progress} progress */
function showProgress({ received_bytes: received, total_bytes: total, bytes_per_second: speed, seconds_left: seconds }) {
  bar.value = total > 0 ? received / total : 0
  const values = {
    received: Math.round(received / megabyte),
    total: Math.round(total / megabyte),
    speed: (speed / megabyte).toFixed(1),
  }
  if (seconds === null) setText(state, 'pullProgress', values)
  else setText(state, 'pullProgressLeft', { ...values, seconds })
}

/** @param {boolean} isRunning */
function show(isRunning) {
  bar.hidden = !isRunning
  bar.removeAttribute('value')
  stopButton.hidden = !isRunning
  for (const control of form.querySelectorAll('input, button[type="submit"]')) control.toggleAttribute('disabled', isRunning)
}
