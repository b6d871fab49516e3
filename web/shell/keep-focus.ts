/**
 * Where what has the focus is taken away or disabled, the focus goes to what was around it, so that the keyboard and screen readers keep
 * their place; to a control that is enabled again, it comes back. Whoever gives it a better place comes first. Returns how to end this.
 */
export function keepFocus(root: HTMLElement): () => void {
  let last: HTMLElement | undefined
  let around: readonly HTMLElement[] = []
  /** Has the focus for something that is disabled. */
  let standIn: HTMLElement | undefined

  const isGone = (element: HTMLElement) => !element.isConnected || element.matches(':disabled')

  function onfocusin({ target }: FocusEvent) {
    if (!(target instanceof HTMLElement) || target === standIn) return
    last = target
    around = ancestorsOf(target, root)
    standIn = undefined
  }

  function onpointerup() {
    // Somebody has pressed where nothing is.
    if (document.activeElement === document.body) last = undefined
  }

  function look() {
    if (last === undefined) return
    const { activeElement } = document
    if (standIn !== undefined && standIn === activeElement && !isGone(last)) return last.focus({ preventScroll: true })
    const isLost = activeElement === null || activeElement === document.body || activeElement === last
    if (!isLost || !isGone(last)) return
    standIn = around.find((element) => element.isConnected && element.checkVisibility())
    if (standIn !== undefined) focusOn(standIn)
  }

  const observer = new MutationObserver(look)
  observer.observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ['disabled'] })
  root.addEventListener('focusin', onfocusin)
  root.addEventListener('pointerup', onpointerup)
  return () => {
    observer.disconnect()
    root.removeEventListener('focusin', onfocusin)
    root.removeEventListener('pointerup', onpointerup)
  }
}

function ancestorsOf(element: HTMLElement, root: HTMLElement): readonly HTMLElement[] {
  const found: HTMLElement[] = []
  for (let next = element.parentElement; next !== null && next !== root; next = next.parentElement) found.push(next)
  return found
}

function focusOn(element: HTMLElement): void {
  if (!element.hasAttribute('tabindex')) {
    element.tabIndex = -1
    element.addEventListener('blur', () => element.removeAttribute('tabindex'), { once: true })
  }
  element.focus({ preventScroll: true })
}
