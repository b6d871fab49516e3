import { SvelteMap } from 'svelte/reactivity'
import { service } from '../../shell/service.ts'

const names = new SvelteMap<string, string>()
const asked = new Set<string>()

/** What a document is called, as soon as that is known; the service is asked once for each. */
export function documentName(id: string): string | undefined {
  return names.get(id)
}

export function learnNames(ids: Iterable<string>): void {
  for (const id of ids) {
    if (asked.has(id)) continue
    asked.add(id)
    service.document(id).then(
      ({ name }) => names.set(id, name),
      // It is shown by its id: it may be gone, and who has not signed in sees no documents.
      () => asked.delete(id),
    )
  }
}

export function noteName(id: string, name: string): void {
  asked.add(id)
  names.set(id, name)
}
