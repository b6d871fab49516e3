import { tour } from './tour.ts'

tour('shell', {}, async ({ page, show }) => {
  await page.locator('h1').first().waitFor({ state: 'attached' })
  await show('chat')
})
