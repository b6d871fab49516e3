import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatTime } from '../../src/engine/chat-template-time.ts'

const morning = new Date(2026, 2, 5, 9, 7, 3)

test.each([
  ['%d %b %Y', '05 Mar 2026'],
  ['%b %d %Y', 'Mar 05 2026'],
  ['%Y-%m-%d', '2026-03-05'],
  ['%A, %B %-d, %Y', 'Thursday, March 5, 2026'],
  ['%I:%M %p', '09:07 AM'],
  ['%a %e %y %H%M%S', 'Thu  5 26 090703'],
  ['%F %T', '2026-03-05 09:07:03'],
  ['%j', '064'],
  ['100 %% %Q %%F %', '100 % %Q %F %'],
  ['', ''],
])('the date that chat templates ask for by %j', (format, expected) => {
  expect(formatTime(format, morning)).toBe(expected)
})

test.skipIf(process.platform !== 'linux')('is what the C library writes', () => {
  const letters = fc.constantFrom(...'YymdeHIpMSjBbAaFTDRh%', '-d', '-m', '-I', '-j')
  const times = fc.date({ min: new Date(1971, 0, 1), max: new Date(2099, 11, 31), noInvalidDate: true })
  fc.assert(
    fc.property(fc.array(letters, { minLength: 1, maxLength: 6 }), times, (list, time) => {
      const format = list.map((letter) => `%${letter}`).join(' ')
      const seconds = Math.floor(time.getTime() / 1000)
      const written = execFileSync('date', [`--date=@${seconds}`, `+${format}`], { env: { ...process.env, LC_ALL: 'C' } })
      expect(formatTime(format, new Date(seconds * 1000))).toBe(String(written).replace(/\n$/, ''))
    }),
    { numRuns: 40 },
  )
})
