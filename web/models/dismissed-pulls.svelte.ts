const storageKey = 'hidden-pulls'

function read(): readonly string[] {
  try {
    const stored: unknown = JSON.parse(sessionStorage.getItem(storageKey) ?? '[]')
    return Array.isArray(stored) ? stored.filter((id) => typeof id === 'string') : []
  } catch {
    return []
  }
}

let ids = $state.raw<ReadonlySet<string>>(new Set(read()))

/** The ended pulls that the person has put away. */
export const dismissedPulls = (): ReadonlySet<string> => ids

export function dismissPull(id: string): void {
  ids = new Set([...ids, id])
  sessionStorage.setItem(storageKey, JSON.stringify([...ids].slice(-50)))
}
