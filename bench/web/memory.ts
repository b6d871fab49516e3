import type { Page } from 'playwright-core'
import type { Row } from './main.ts'

const answers = 20
const switches = 50
const targets = { heapBytes: 5_000_000, listeners: 50 } as const

/** What stays after many long answers and many changes between conversations, looked at from an empty one each time. */
export async function measureMemory(page: Page, ids: readonly string[]): Promise<readonly Row[]> {
  const devtools = await page.context().newCDPSession(page)
  await devtools.send('Performance.enable')
  const look = async () => {
    await begin(page)
    await devtools.send('HeapProfiler.collectGarbage')
    const { metrics } = await devtools.send('Performance.getMetrics')
    const of = (name: string) => metrics.find((metric) => metric.name === name)?.value ?? Number.NaN
    return { heapBytes: of('JSHeapUsedSize'), listeners: of('JSEventListeners'), nodes: of('Nodes') }
  }
  // What is loaded once, as the highlighting of code, is no growth.
  await answerAndSwitch(page, ids, 1, 4)
  const before = await look()
  await answerAndSwitch(page, ids, answers, switches)
  const after = await look()
  const grown = { heapBytes: after.heapBytes - before.heapBytes, listeners: after.listeners - before.listeners }
  const what = `${answers} long answers and ${switches} changes of conversation`
  return [
    {
      what: `heap after ${what}`,
      measured: `${megabytes(before.heapBytes)} → ${megabytes(after.heapBytes)}`,
      wanted: `less than ${megabytes(targets.heapBytes)} more`,
      isMet: grown.heapBytes < targets.heapBytes,
    },
    {
      what: `listeners after ${what}`,
      measured: `${before.listeners} → ${after.listeners}`,
      wanted: `less than ${targets.listeners} more`,
      isMet: grown.listeners < targets.listeners,
    },
  ]
}

async function answerAndSwitch(page: Page, ids: readonly string[], answerCount: number, switchCount: number): Promise<void> {
  await begin(page)
  for (let count = 0; count < answerCount; count += 1) {
    await page.locator('#question').fill('Write at once!')
    await page.locator('#question').press('Enter')
    await page.locator('.answer .facts').nth(count).waitFor({ timeout: 120_000 })
  }
  for (let count = 0; count < switchCount; count += 1) {
    await page.evaluate(`location.hash = '#/c/${ids[count % ids.length]}'`)
    await page.locator('.answer').first().waitFor()
    await begin(page)
  }
}

async function begin(page: Page): Promise<void> {
  await page.locator('#new').click()
  await page.locator('.message').first().waitFor({ state: 'detached' })
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
