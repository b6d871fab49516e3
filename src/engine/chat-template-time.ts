const months = 'January February March April May June July August September October November December'.split(' ')
const days = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ')
const combined: Readonly<Record<string, string>> = { F: '%Y-%m-%d', T: '%H:%M:%S', D: '%m/%d/%y', R: '%H:%M', h: '%b' }
const padded = (value: number, length = 2) => String(value).padStart(length, '0')

/**
 * A time as C's `strftime` writes it, in English and in the time zone of this machine, for what chat templates ask for.
 * `%-d` has no zeros in front. Directives that are not known stay as they are.
 */
export function formatTime(format: string, time: Date): string {
  const [month = '', day = ''] = [months[time.getMonth()], days[time.getDay()]]
  const hours = time.getHours()
  const fields: Readonly<Record<string, string>> = {
    Y: String(time.getFullYear()),
    y: padded(time.getFullYear() % 100),
    m: padded(time.getMonth() + 1),
    d: padded(time.getDate()),
    e: String(time.getDate()).padStart(2),
    H: padded(hours),
    I: padded(hours % 12 || 12),
    p: hours < 12 ? 'AM' : 'PM',
    M: padded(time.getMinutes()),
    S: padded(time.getSeconds()),
    j: padded(dayOfYear(time), 3),
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    '%': '%',
  }
  return format.replaceAll(/%(-?)(.)/g, (whole, bare: string, letter: string) => {
    const together = combined[letter]
    if (together !== undefined) return formatTime(together, time)
    const field = fields[letter]
    return field === undefined ? whole : bare === '' ? field : field.replace(/^[0 ]+(?=.)/, '')
  })
}

function dayOfYear(time: Date): number {
  const start = Date.UTC(time.getFullYear(), 0, 1)
  return 1 + Math.round((Date.UTC(time.getFullYear(), time.getMonth(), time.getDate()) - start) / 86_400_000)
}
