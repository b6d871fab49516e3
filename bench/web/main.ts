import { availableParallelism, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { type Browser, chromium, type Page } from 'playwright-core'
import { createCloser } from '../../src/closer.ts'
import { AppError } from '../../src/errors.ts'
import { openService } from '../learning/service.ts'
import { percentile } from '../statistics.ts'
import { conversationOf } from './conversation.ts'
import { measureMemory } from './memory.ts'
import { startPacedServer } from './paced-server.ts'

// How light the pages are, in headless Chromium. Writes a table as Markdown; exit code 1: a target is missed.
//   node bench/web/main.ts --model FILE [--seconds 15] [--tokens-per-second 200] [--messages 2000] [--chromium /usr/bin/chromium]

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'model_llm/gemma-3-270m-q4_k_m.gguf' },
    seconds: { type: 'string', default: '15' },
    'tokens-per-second': { type: 'string', default: '200' },
    messages: { type: 'string', default: '2000' },
    chromium: { type: 'string', default: '/usr/bin/chromium' },
  },
})

const targets = { scriptBytes: 150_000, busyShare: 0.5, openMs: 500, taskMs: 200 } as const
const password = 'a password of this measurement'
export type Row = Readonly<{ what: string; measured: string; wanted: string; isMet: boolean }>

/** What the first visit to the chat loads, as it comes over the wire. */
async function measureFirstLoad(browser: Browser, url: string): Promise<Row> {
  const page = await browser.newPage()
  let scriptBytes = 0
  page.on('response', async (response) => {
    if (!response.url().endsWith('.js')) return
    const { responseBodySize } = await response.request().sizes()
    scriptBytes += responseBodySize > 0 ? responseBodySize : gzipSync(await response.body()).length
  })
  await page.goto(url, { waitUntil: 'networkidle' })
  await page.close()
  const measured = `${(scriptBytes / 1000).toFixed(1)} kB`
  return { what: 'scripts of the first load', measured, wanted: '≤ 150 kB', isMet: scriptBytes <= targets.scriptBytes }
}

/** The share of the time in which the page's main thread has something to do while an answer is written. */
async function measureStreaming(page: Page): Promise<Row> {
  const devtools = await page.context().newCDPSession(page)
  // The thread's own time: what waits while other programs run is not busy.
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' })
  const read = async () => {
    const { metrics } = await devtools.send('Performance.getMetrics')
    const of = (name: string) => metrics.find((metric) => metric.name === name)?.value ?? 0
    return { busy: of('TaskDuration'), at: performance.now() / 1000 }
  }
  await page.locator('#question').fill('Write!')
  await page.locator('#question').press('Enter')
  await page.locator('#stop').waitFor()
  const before = await read()
  await page.locator('#stop').waitFor({ state: 'hidden', timeout: 120_000 })
  const after = await read()
  const share = (after.busy - before.busy) / (after.at - before.at)
  const what = `main thread busy at ${values['tokens-per-second']} tokens/s`
  return { what, measured: `${(share * 100).toFixed(1)} %`, wanted: '< 50 %', isMet: share < targets.busyShare }
}

/** From the click on a long conversation to its last message on the screen; the middle one of five. */
async function measureOpening(page: Page, id: string): Promise<Row> {
  const times: number[] = []
  for (let round = 0; round < 5; round += 1) {
    await page.locator('#new').click()
    await page.locator('.turn').first().waitFor({ state: 'detached' })
    times.push(await page.evaluate<number>(openAndTime(id, `the last of ${values.messages}`)))
  }
  const middle =
    percentile(
      times.toSorted((one, other) => one - other),
      0.5,
    ) ?? Number.NaN
  const measured = `${middle.toFixed(0)} ms`
  return { what: `${values.messages} messages open`, measured, wanted: '< 500 ms', isMet: middle < targets.openMs }
}

/** Waits for two frames after the text is there: then it has been painted. */
const openAndTime = (id: string, last: string) => `new Promise((resolve) => {
  const begun = performance.now()
  location.hash = '#/c/${id}'
  const look = () => {
    const isThere = document.querySelector('#content')?.textContent.includes(${JSON.stringify(last)})
    if (!isThere) return requestAnimationFrame(look)
    requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - begun)))
  }
  look()
})`

/** Scrolls up through all of the conversation that is shown, as fast as its messages come. */
async function measureScrolling(page: Page): Promise<Row> {
  const { longestMs, seconds, messages } = await page.evaluate<Scrolled>(scrollThrough)
  if (messages !== Number(values.messages)) throw new AppError('internal', `Only ${messages} messages came.`)
  return {
    what: `longest task while scrolling up through all ${messages} (${seconds.toFixed(0)} s)`,
    measured: longestMs === 0 ? '< 50 ms' : `${longestMs.toFixed(0)} ms`,
    wanted: `< ${targets.taskMs} ms`,
    isMet: longestMs < targets.taskMs,
  }
}

type Scrolled = Readonly<{ longestMs: number; seconds: number; messages: number }>
const scrollThrough = `new Promise((resolve) => {
  const begun = performance.now()
  let longestMs = 0
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longestMs = Math.max(longestMs, duration)
  })
  observer.observe({ type: 'longtask' })
  const scroller = document.querySelector('.scroller')
  const step = () => {
    if (scroller.scrollTop === 0 && document.querySelector('.older') === null) {
      // The last tasks are told a little later.
      setTimeout(() => resolve({ longestMs, seconds: (performance.now() - begun) / 1000, messages: document.querySelectorAll('.message').length }), 500)
      return
    }
    scroller.scrollTop -= 300
    requestAnimationFrame(step)
  }
  step()
})`

async function main(): Promise<number> {
  const closer = createCloser()
  try {
    const paced = closer.use(
      await startPacedServer({ tokensPerSecond: Number(values['tokens-per-second']), seconds: Number(values.seconds) }),
    )
    const settings = { LLM_PROVIDER: 'custom', CUSTOM_BASE_URL: paced.url, DEFAULT_MODEL: 'paced', RATE_LIMIT_REQUESTS: '100000' }
    const { client } = closer.use(await openService(values.model, settings))
    const short = conversationOf(40)
    const { imported } = await client.importConversations(new Blob([conversationOf(Number(values.messages)), short, short]))
    const { items } = await client.conversations()
    const long = items.find(({ title }) => title.includes(` ${values.messages} `))
    if (imported !== 3 || long === undefined) throw new AppError('internal', 'The long conversation could not be imported.')
    const browser = closer.use(
      await chromium.launch({
        executablePath: values.chromium,
        args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
      }),
    )
    const rows = [await measureFirstLoad(browser, client.baseUrl)]
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } })
    await page.goto(client.baseUrl)
    await page.evaluate(
      `fetch('/auth/login', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ username: 'ana', password: '${password}' }) })`,
    )
    await page.reload()
    rows.push(await measureStreaming(page), await measureOpening(page, long.id), await measureScrolling(page))
    const others = items.flatMap(({ id }) => (id === long.id ? [] : [id]))
    rows.push(...(await measureMemory(page, others)))
    const lines = rows.map(
      ({ what, measured, wanted, isMet }) => `| ${what} | ${measured} | ${wanted} | ${isMet ? 'met' : 'MISSED'} |`,
    )
    const load = `Load of the machine at the end: ${loadavg()[0]?.toFixed(1)} on ${availableParallelism()} cores.`
    process.stdout.write(`| | measured | wanted | |\n|---|---|---|---|\n${lines.join('\n')}\n\n${load}\n`)
    return rows.every(({ isMet }) => isMet) ? 0 : 1
  } finally {
    await closer.close()
  }
}

process.exitCode = await main()
