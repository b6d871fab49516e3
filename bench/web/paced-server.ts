import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { AppError } from '../../src/errors.ts'

const words = 'the model writes an answer of many words with **bold** ones and `code` and a list of things that follow'.split(' ')

/** Markdown as models write it: paragraphs, a list, a table and a block of code, in pieces of one token. */
function* writeTokens(): Generator<string> {
  for (let paragraph = 0; ; paragraph += 1) {
    yield `\n\n## Part ${paragraph + 1}\n\n`
    for (let word = 0; word < 60; word += 1) yield `${words[word % words.length]} `
    yield '\n\n'
    for (let item = 1; item <= 4; item += 1)
      for (const piece of [`${item}. `, 'an ', 'item ', 'of ', 'the ', 'list', '\n']) yield piece
    for (const piece of ['\n| a ', '| b |\n', '|---|---|\n', '| 1 ', '| 2 |\n', '| 3 ', '| 4 |\n', '\n']) yield piece
    for (const piece of ['```js\n', 'const ', 'answer ', '= ', '42\n', 'console', '.log(', 'answer', ')\n', '```\n']) yield piece
  }
}

/** How many tokens one gets who asks for them at once. */
const tokensAtOnce = 1000

/** A server that speaks like OpenAI's and writes so many tokens per second, for so long; to "at once!", a long answer in one go. */
export async function startPacedServer({ tokensPerSecond, seconds }: Readonly<{ tokensPerSecond: number; seconds: number }>) {
  const server = createServer(async (request, response) => {
    const isAtOnce = (await text(request)).includes('at once!')
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const send = (delta: object, reason: string | null = null) =>
      response.write(
        `data: ${JSON.stringify({ id: 'paced', object: 'chat.completion.chunk', created: 0, model: 'paced', choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n`,
      )
    const begun = performance.now()
    let sent = 0
    for (const token of writeTokens()) {
      if (isAtOnce) {
        if (sent === tokensAtOnce || response.destroyed) break
        send({ content: token })
        sent += 1
        continue
      }
      const due = begun + (sent * 1000) / tokensPerSecond
      if (due > begun + seconds * 1000 || response.destroyed) break
      // Late ones are made up for, so that the rate holds.
      if (due > performance.now()) await setTimeout(due - performance.now())
      send({ content: token })
      sent += 1
    }
    send({}, 'stop')
    response.end('data: [DONE]\n\n')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new AppError('internal', 'The server has no port.')
  return {
    url: `http://127.0.0.1:${address.port}/v1`,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
