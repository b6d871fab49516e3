/** The pages of the app. All live behind `#`, as their names are taken by the API; `/admin` is a page of its own address, too. */
export const pages = ['chat', 'documents', 'models', 'training', 'admin'] as const
export type PageName = (typeof pages)[number]

export type Place = Readonly<{
  page: PageName
  /** What follows: `#/training/runs/ID` is `['runs', 'ID']`; of a conversation, `#/c/ID`, its id. */
  path: readonly string[]
}>

function readPlace(): Place {
  const [first = '', ...path] = location.hash.replace(/^#\/?/, '').split('/').map(decode)
  const named = pages.find((page) => page === first)
  if (named !== undefined) return { page: named, path: path.filter((part) => part !== '') }
  if (first === '' && location.pathname === '/admin') return { page: 'admin', path: [] }
  return { page: 'chat', path: first === 'c' ? path : [] }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

let current = $state.raw(readPlace())
const refresh = () => {
  const next = readPlace()
  if (JSON.stringify(next) !== JSON.stringify(current)) current = next
}
addEventListener('hashchange', refresh)

export const place = (): Place => current

/** The address of a place, for links. */
export function addressOf(page: PageName, ...path: readonly string[]): string {
  const parts = path.map(encodeURIComponent)
  if (page === 'admin' && parts.length === 0) return '/admin'
  return `/#/${[...(page === 'chat' ? (parts.length === 0 ? [] : ['c']) : [page]), ...parts].join('/')}`
}

type Going = Readonly<{
  /** Leaves no step to go back to. */
  replaces?: boolean
  /** Only from there: who is elsewhere by now, when an answer has come, stays there. */
  from?: Place
}>

export function goTo(address: string, { replaces = false, from }: Going = {}): void {
  if (from !== undefined && from !== current) return
  const target = new URL(address, location.href)
  if (target.pathname !== location.pathname) location.assign(target)
  else {
    if (replaces) history.replaceState(null, '', target)
    else location.hash = target.hash
    // At once: what is typed next belongs to the new place.
    refresh()
  }
}
