import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { chromium, type Page } from 'playwright-core'

// Draws the icons of the app from its sign, with Chromium: `node web/icons/make-icons.ts` after changing favicon.svg.

const publicFolder = fileURLToPath(new URL('../public/', import.meta.url))
const target = `${publicFolder}icons/`

type Icon = Readonly<{
  name: string
  pixels: number
  /** Cut by the system into a shape of its own: no corners, and room around the sign. */
  isCut: boolean
}>

const icons: readonly Icon[] = [
  { name: 'icon-192.png', pixels: 192, isCut: false },
  { name: 'icon-512.png', pixels: 512, isCut: false },
  { name: 'icon-maskable-192.png', pixels: 192, isCut: true },
  { name: 'icon-maskable-512.png', pixels: 512, isCut: true },
  { name: 'apple-touch-icon.png', pixels: 180, isCut: true },
]

async function draw(page: Page, svg: string, { pixels, isCut }: Icon): Promise<Buffer> {
  // The field fills the square, and the sign keeps to the safe zone: the middle 80 %.
  const shown = isCut ? svg.replace(' rx="7"', '') : svg
  const background = isCut ? '#1f5c57' : 'transparent'
  await page.setViewportSize({ width: pixels, height: pixels })
  await page.setContent(
    `<style>html,body{margin:0;height:100%;background:${background}}body{display:grid;place-items:center}svg{width:${isCut ? 82 : 100}%}</style>${shown}`,
  )
  return page.screenshot({ omitBackground: true })
}

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] })
try {
  const svg = await readFile(`${publicFolder}favicon.svg`, 'utf8')
  const page = await browser.newPage()
  await mkdir(target, { recursive: true })
  for (const icon of icons) await writeFile(target + icon.name, await draw(page, svg, icon))
} finally {
  await browser.close()
}
