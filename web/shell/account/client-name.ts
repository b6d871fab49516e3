/** In the order in which they are looked for: most browsers name others, too. */
const browsers = [
  ['Edge', /\bEdg(?:e|A|iOS)?\//],
  ['Opera', /\bOPR\//],
  ['Samsung Internet', /\bSamsungBrowser\//],
  ['Firefox', /\b(?:Firefox|FxiOS)\//],
  ['Chrome', /\b(?:Chrome|CriOS|HeadlessChrome)\//],
  ['Safari', /\bSafari\//],
] as const
const systems = [
  ['Android', /\bAndroid\b/],
  ['iPadOS', /\biPad\b/],
  ['iOS', /\biPhone\b/],
  ['Windows', /\bWindows\b/],
  ['macOS', /\bMac OS X\b/],
  ['ChromeOS', /\bCrOS\b/],
  ['Linux', /\bLinux\b/],
] as const

/** What people call the client that calls itself so: browser and system, else the first word. Undefined for one without a name. */
export function clientName(agent: string | null): string | undefined {
  const find = (names: ReadonlyArray<readonly [string, RegExp]>) => names.find(([, sign]) => sign.test(agent ?? ''))?.[0]
  const browser = find(browsers)
  if (browser !== undefined) return [browser, find(systems) ?? []].flat().join(', ')
  return agent?.trim().split(/\s/, 1)[0] || undefined
}
