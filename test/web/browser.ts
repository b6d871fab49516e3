import { existsSync } from 'node:fs'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { onTestFinished } from 'vitest'

/** The first that is there. The shell has no window to draw, and so costs two thirds of the time. */
const executables = ['chromium-headless-shell', 'chromium', 'google-chrome'].map((name) => `/usr/bin/${name}`)
const flags = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--no-first-run']

/** A headless Chromium; undefined where there is none, which on a build machine is a fault. */
export async function openBrowser(): Promise<Browser | undefined> {
  const executablePath = executables.find((path) => existsSync(path))
  if (executablePath !== undefined) return chromium.launch({ executablePath, args: flags })
  const message = `The browser tests need one of ${executables.join(', ')}: apt-get install chromium-headless-shell`
  if (process.env.CI) throw new Error(message)
  console.warn(`${message}. They are skipped.`)
  return undefined
}

/** What went on in a page that should not. */
export type Incidents = Readonly<{
  dialogs: readonly string[]
  foreignRequests: readonly string[]
  /** What the security policy stopped, as the console tells it, and scripts that failed. */
  violations: readonly string[]
  /** What the security policy stopped, as its events tell it. */
  blocked: readonly string[]
}>

export type WatchedPage = Readonly<{ page: Page; incidents: Incidents }>

export type PageOptions = BrowserContextOptions &
  Readonly<{
    /** Whether a visitor is welcomed where nobody has an account; else they have put that off. */
    isFirstRun?: boolean
  }>

/** A page in a browser context of its own, on which every dialog, foreign request and violation is noted, and every new window. */
export async function openPage(browser: Browser, url: string, given: PageOptions = {}): Promise<WatchedPage> {
  const { isFirstRun = false, ...options } = given
  const context = await browser.newContext({ locale: 'en', ...options })
  onTestFinished(() => context.close())
  const dialogs: string[] = []
  const foreignRequests: string[] = []
  const violations: string[] = []
  const blocked: string[] = []
  const page = await context.newPage()
  await page.exposeFunction('noteBlocked', (directive: string) => void blocked.push(directive))
  await page.addInitScript(`addEventListener('securitypolicyviolation', (event) => noteBlocked(event.effectiveDirective))`)
  if (!isFirstRun) await page.addInitScript(() => sessionStorage.setItem('looks-around', 'yes'))
  page.on('dialog', async (dialog) => {
    dialogs.push(dialog.message())
    await dialog.dismiss()
  })
  page.on('request', (request) => {
    if (!request.url().startsWith(`${url}/`)) foreignRequests.push(request.url())
  })
  page.on('popup', (opened) => foreignRequests.push(opened.url()))
  page.on('pageerror', (error) => violations.push(error.message))
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) violations.push(message.text())
  })
  await page.goto(`${url}/`)
  return { page, incidents: { dialogs, foreignRequests, violations, blocked } }
}

export const noIncidents: Incidents = { dialogs: [], foreignRequests: [], violations: [], blocked: [] }

/** Asks a question as a person does, and waits until its answer has come to an end. */
export async function ask(page: Page, question: string): Promise<void> {
  const answers = page.locator('article.answer')
  const questions = page.locator('article.asked')
  const [answered, asked] = [await answers.count(), await questions.count()]
  await page.locator('#question').fill(question)
  await page.locator('#question').press('Enter')
  const end = answers.nth(answered).locator('.facts').or(questions.nth(asked).locator('.failure'))
  await end.first().waitFor()
}

/** Through the dialog; `register` opens the account first. */
export async function signIn(page: Page, username: string, { register = false } = {}): Promise<void> {
  const dialog = page.locator('dialog')
  if (register) await dialog.locator('button.plain').click()
  await dialog.locator('#username').fill(username)
  await dialog.locator('#password').fill(`${username}-has-a-long-password`)
  await dialog.locator('button.main').click()
  await dialog.waitFor({ state: 'hidden' })
}
