/** Puts a popup of the top layer beside what opens it, on the side where there is more room, and no larger than that room. */
export function placePopup(popup: HTMLElement, opener: HTMLElement): void {
  const { left, right, top, bottom } = opener.getBoundingClientRect()
  const gap = 4
  const isLow = top > innerHeight - bottom
  const isRight = left + right > innerWidth
  const { style } = popup
  style.inset = 'auto'
  style.margin = '0'
  style.maxHeight = `${(isLow ? top : innerHeight - bottom) - 3 * gap}px`
  if (isLow) style.bottom = `${innerHeight - top + gap}px`
  else style.top = `${bottom + gap}px`
  const aside = Math.max(gap, isRight ? innerWidth - right : left)
  if (isRight) style.right = `${aside}px`
  else style.left = `${aside}px`
  style.maxWidth = `${innerWidth - aside - gap}px`
}

/** The one of some elements that an arrow key leads to from the one that has the focus; undefined for other keys. */
export function arrowTarget(key: string, elements: readonly HTMLElement[]): HTMLElement | undefined {
  const at = elements.findIndex((element) => element.matches(':focus'))
  const { length } = elements
  switch (key) {
    case 'ArrowDown':
      return elements[(at + 1) % length]
    case 'ArrowUp':
      return elements[(Math.max(at, 0) - 1 + length) % length]
    case 'Home':
      return elements[0]
    case 'End':
      return elements.at(-1)
    default:
      return undefined
  }
}
