import { afterAll, onTestFinished, test } from 'vitest'
import { type StartOptions, startServer } from '../server.ts'
import { openBrowser, openPage, type PageOptions } from './browser.ts'

const browser = await openBrowser()

/** A test in a real browser; skipped where there is none. */
export const webTest = test.skipIf(browser === undefined)

/** The chat page of a service that runs already. */
export function openAt(url: string, context: PageOptions = {}) {
  if (browser === undefined) throw new Error('Skipped tests do not get here.')
  return openPage(browser, url, context)
}

/** The whole service with its chat page open. */
export async function openApp(options: StartOptions, context: PageOptions = {}) {
  const server = await startServer(options)
  onTestFinished(() => server[Symbol.asyncDispose]())
  return { server, ...(await openAt(server.url, context)) }
}

afterAll(() => browser?.close())
