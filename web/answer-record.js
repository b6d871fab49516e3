// @ts-check

/** @typedef {import('./ask-model.js').AnswerEvent} AnswerEvent */

/** What came within less says little about how fast the model writes. */
const minRateSeconds = 0.2

/** Gathers what is known of one answer while it is written. */
export function createAnswerRecord() {
  let text = ''
  let id = ''
  let model = ''
  let ranOn = /** @type {'local' | 'cloud' | undefined} */ (undefined)
  let tokens = /** @type {number | undefined} */ (undefined)
  let end = /** @type {'stop' | 'length'} */ ('stop')
  let firstMs = 0
  let lastMs = 0

  /** @param {Extract<AnswerEvent, { type: 'text' }>} piece */
  function addText(piece) {
    lastMs = performance.now()
    if (text === '') firstMs = lastMs
    text += piece.text
    id = piece.id
    model = piece.model
  }

  return {
    /** @param {AnswerEvent} event */
    note(event) {
      if (event.type === 'text') addText(event)
      if (event.type === 'origin') ranOn = event.ranOn
      if (event.type === 'choice-end') end = event.reason
      if (event.type === 'usage') tokens = event.completionTokens
    },
    text: () => text,
    facts() {
      const seconds = (lastMs - firstMs) / 1000
      const tokensPerSecond = tokens !== undefined && seconds > minRateSeconds ? (tokens - 1) / seconds : undefined
      return { id, model, ranOn, tokens, tokensPerSecond, end }
    },
  }
}
