// @ts-check

/**
 * The data of each server-sent event of an answer, as it comes. Leaving the loop early ends the request.
 * @param {Response} response
 * @returns {AsyncGenerator<string>}
 */
export async function* readEventStream(response) {
  if (response.body === null) return
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const events = (rest + value).split(/\n\n|\r\n\r\n/)
      rest = events.pop() ?? ''
      for (const event of events) yield dataOf(event)
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

/** @param {string} event */
function dataOf(event) {
  const lines = event.split(/\r?\n/).filter((line) => line.startsWith('data:'))
  return lines.map((line) => line.slice('data:'.length).replace(/^ /, '')).join('\n')
}
