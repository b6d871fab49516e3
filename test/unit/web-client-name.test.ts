import { expect, test } from 'vitest'
import { clientName } from '../../web/shell/account/client-name.ts'

const mozilla = 'Mozilla/5.0'
const webkit = 'AppleWebKit/537.36 (KHTML, like Gecko)'

test.each([
  [`${mozilla} (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0`, 'Firefox, Linux'],
  [`${mozilla} (Windows NT 10.0; Win64; x64) ${webkit} Chrome/150.0.0.0 Safari/537.36 Edg/150.0.0.0`, 'Edge, Windows'],
  [`${mozilla} (X11; Linux x86_64) ${webkit} HeadlessChrome/150.0.0.0 Safari/537.36`, 'Chrome, Linux'],
  [`${mozilla} (Linux; Android 10; K) ${webkit} Chrome/150.0.0.0 Mobile Safari/537.36`, 'Chrome, Android'],
  [`${mozilla} (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/26.0 Safari/605.1.15`, 'Safari, macOS'],
  [`${mozilla} (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 CriOS/150.0 Mobile Safari/604.1`, 'Chrome, iOS'],
  ['Firefox/1', 'Firefox'],
  ['curl/8.14.1', 'curl/8.14.1'],
  ['node', 'node'],
  ['  ', undefined],
  [null, undefined],
])('%s is called %s', (agent, name) => {
  expect(clientName(agent)).toBe(name)
})
