// @ts-check
import { createAnswerFeedback } from './answer-feedback.js'
import { createAnswerRecord } from './answer-record.js'
import { createAnswerView } from './answer-view.js'
import { askModel } from './ask-model.js'
import { createEditForm } from './edit-form.js'
import { create } from './elements.js'

/** @typedef {import('./ask-model.js').Message} Message */
/** @typedef {import('./answer-view.js').AnswerFacts} AnswerFacts */
/** @typedef {import('./answer-view.js').AnswerView} AnswerView */
/** @typedef {import('./answer-feedback.js').AnswerFeedback} AnswerFeedback */
/** @typedef {Readonly<{ view: AnswerView, text: string, facts: AnswerFacts, feedback: AnswerFeedback | undefined }>} Answer */
/** @typedef {ReturnType<typeof createExchange>} Exchange */

/**
 * What an exchange needs of its page.
 * @typedef {Readonly<{
 *   run: (work: (signal: AbortSignal) => Promise<void>) => void
 *   keepInSight: (change: () => void) => void
 *   isLocal: () => boolean
 *   onAnswer: (facts: AnswerFacts) => void
 *   onFail: (error: unknown) => void
 * }>} Page `run` does one thing at a time, and gives the signal that the person stops it with.
 */

/**
 * A question and its answer, which can be rated, edited, and made again to keep the better one.
 * @param {string} question
 * @param {readonly Message[]} before What was said before it. Another answer is made from the same.
 * @param {Page} page
 */
export function createExchange(question, before, page) {
  const asked = /** @type {const} */ ({ role: 'user', content: question })
  const first = createAnswerView('answer')
  const element = create(
    'div',
    { class: 'turn' },
    create('article', { class: 'asked', attributes: { 'data-label': 'you' } }, create('p', { class: 'text', text: question })),
    first.element,
  )
  /** The answer as the conversation goes on from it; empty until there is one. */
  let content = ''

  const start = () => page.run(answer)

  /** @param {AbortSignal} signal */
  async function answer(signal) {
    try {
      const written = await write(first, signal)
      page.keepInSight(() => show(written))
      page.onAnswer(written.facts)
    } catch (error) {
      page.keepInSight(() => first.fail(error, start))
      page.onFail(error)
    }
  }

  /** Has an answer written into its view; a stop leaves what is there. @param {AnswerView} view @param {AbortSignal} signal */
  async function write(view, signal) {
    view.start()
    const record = createAnswerRecord()
    try {
      const options = { onWait: view.showWait, isLocal: page.isLocal() }
      for await (const event of askModel([...before, asked], signal, options)) {
        record.note(event)
        if (event.type === 'text') page.keepInSight(() => view.add(event.text))
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
    const facts = { ...record.facts(), ...(signal.aborted ? /** @type {const} */ ({ end: 'stopped' }) : {}) }
    const feedback = facts.id === '' ? undefined : createAnswerFeedback(facts.id)
    return { view, text: record.text(), facts, feedback }
  }

  /** Takes an answer as the one of this exchange. @param {Answer} answered */
  function show(answered) {
    const { view, text, facts, feedback } = answered
    content = text
    if (feedback === undefined) return view.end(facts, { actions: [], details: [] })
    const actions = [
      create('button', {
        class: 'plain',
        say: 'editAnswer',
        attributes: { type: 'button' },
        click: () => edit(answered, feedback),
      }),
      create('button', {
        class: 'plain',
        say: 'regenerate',
        attributes: { type: 'button' },
        click: () => page.run((signal) => again(answered, feedback, signal)),
      }),
    ]
    view.end(facts, { actions: [...actions, feedback.thumbs], details: [feedback.details] })
  }

  /** @param {Answer} answered @param {AnswerFeedback} feedback */
  function edit(answered, feedback) {
    const { view, text } = answered
    const form = createEditForm(text, {
      async save(corrected) {
        if (corrected !== text) await feedback.correct(corrected)
        view.setText(corrected)
        close()
        show({ ...answered, text: corrected })
      },
      cancel: close,
    })
    function close() {
      view.endEdit(form.element)
    }
    view.edit(form.element)
    form.focus()
  }

  /** Writes another answer below, and lets the person keep one of the two. @param {Answer} one @param {AnswerFeedback} feedback @param {AbortSignal} signal */
  async function again(one, feedback, signal) {
    const view = createAnswerView('otherAnswer')
    one.view.leave()
    page.keepInSight(() => element.append(view.element))
    try {
      const other = await write(view, signal)
      if (other.feedback !== undefined) {
        const { feedback: itsFeedback } = other
        page.keepInSight(() => {
          one.view.leave(createKeep(() => keep({ ...one, feedback }, other)))
          view.leave(createKeep(() => keep({ ...other, feedback: itsFeedback }, one)))
        })
        return
      }
    } catch (error) {
      feedback.showError(error)
      page.onFail(error)
    }
    view.element.remove()
    show(one)
  }

  /** @param {Answer & Readonly<{ feedback: AnswerFeedback }>} kept @param {Answer} rejected */
  function keep(kept, rejected) {
    rejected.view.element.remove()
    show(kept)
    void kept.feedback.keepOver(rejected.facts.id)
    page.onAnswer(kept.facts)
  }

  return {
    element,
    start,
    /** What the model is told of it later. @returns {readonly Message[]} */
    messages: () => (content === '' ? [] : [asked, { role: 'assistant', content }]),
  }
}

/** @param {() => void} click */
const createKeep = (click) =>
  create('div', { class: 'keep' }, create('button', { say: 'keepThis', attributes: { type: 'button' }, click }))
