import temml from 'temml'

const mostKept = 500
const made = new Map<string, string | undefined>()

/** MathML of TeX, without styles; undefined where it has faults. */
export function renderTex(tex: string, isDisplay: boolean): string | undefined {
  const key = `${isDisplay} ${tex}`
  if (!made.has(key)) {
    if (made.size >= mostKept) made.clear()
    made.set(key, render(tex, isDisplay))
  }
  return made.get(key)
}

function render(tex: string, isDisplay: boolean): string | undefined {
  try {
    const math = temml.renderToString(tex, { displayMode: isDisplay, throwOnError: true, trust: false, maxExpand: 100 })
    // The security policy of the page allows none. Colours have an attribute of their own.
    return math.replace(/ style="(?:color:(#\w+);)?[^"]*"/g, (_, color) => (color === undefined ? '' : ` mathcolor="${color}"`))
  } catch {
    return undefined
  }
}
