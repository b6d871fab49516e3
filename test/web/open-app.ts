import { afterAll, onTestFinished, test } from 'vitest'
import { type StartOptions, startServer } from '../server.ts'
import { openBrowser, openPage } from './browser.ts'

const browser = await openBrowser()

/** A test in a real browser; skipped where there is none. */
export const webTest = test.skipIf(browser === undefined)

/** The whole service with its chat page open. */
export async function openApp(options: StartOptions, context: Parameters<typeof openPage>[2] = {}) {
  if (browser === undefined) throw new Error('Skipped tests do not get here.')
  const server = await startServer(options)
  onTestFinished(() => server[Symbol.asyncDispose]())
  return { server, ...(await openPage(browser, server.url, context)) }
}

afterAll(() => browser?.close())
