import type { RenderOptions } from './render-html.ts'

let highlight = $state.raw<RenderOptions['highlight']>(undefined)
let math = $state.raw<RenderOptions['math']>(undefined)

/** Reads code in its language, as soon as it is loaded; asking for it loads it. Reactive. */
export function currentHighlight(): RenderOptions['highlight'] {
  if (highlight === undefined) loadHighlight()
  return highlight
}

/** Sets maths, as soon as it is loaded; asking for it loads it. Reactive. */
export function currentMath(): RenderOptions['math'] {
  if (math === undefined) loadMath()
  return math
}

// What cannot be loaded leaves code plain and TeX as it is written; the next text asks again.
const loadHighlight = once(async () => {
  highlight = (await import('./highlight.ts')).highlight
})
const loadMath = once(async () => {
  math = (await import('./math.ts')).renderTex
})

function once(load: () => Promise<void>): () => void {
  let isLoading = false
  return () => {
    if (isLoading) return
    isLoading = true
    void load().catch(() => {
      isLoading = false
    })
  }
}
