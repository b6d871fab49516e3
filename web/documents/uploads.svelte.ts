import { noteDone } from '../first-run/tour.svelte.ts'
import { service } from '../shell/service.ts'
import { noteChange } from './changes.svelte.ts'
import { createUploadQueue, isOver, type Upload } from './upload-queue.ts'

let shown = $state.raw<readonly Upload[]>([])

/** Those of this visit, whatever page is shown meanwhile. */
export const uploads = (): readonly Upload[] => shown

export const queue = createUploadQueue({
  send: service.addDocument,
  onChange(next) {
    shown = next
    const isBusy = next.some(({ state }) => !isOver(state))
    if (isBusy) addEventListener('beforeunload', warn)
    else removeEventListener('beforeunload', warn)
  },
  onAdded() {
    noteChange()
    noteDone('document-added')
  },
})

/** Takes what was added off the list when it is there no longer: a document, or all of a collection. */
export function forgetRemoved(isRemoved: (upload: Upload) => boolean): void {
  queue.forget(...shown.filter(isRemoved).map(({ id }) => id))
}

/** The browser asks whether the tab may close. */
function warn(event: BeforeUnloadEvent): void {
  event.preventDefault()
}
