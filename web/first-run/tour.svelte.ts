export const tourSteps = ['asked', 'document-added', 'feedback-given'] as const
/** What a person does in the tour, in its order. */
export type TourStep = (typeof tourSteps)[number]

const storageKey = 'tour'
type Tour = Readonly<{ isOpen: boolean; done: readonly TourStep[] }>
const closed: Tour = { isOpen: false, done: [] }

function read(): Tour {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(storageKey) ?? 'null')
    if (typeof stored !== 'object' || stored === null || !('done' in stored) || !Array.isArray(stored.done)) return closed
    const { done } = stored
    return { isOpen: 'isOpen' in stored && stored.isOpen === true, done: tourSteps.filter((step) => done.includes(step)) }
  } catch {
    return closed
  }
}

let tour = $state.raw(read())

function keep(next: Tour): void {
  tour = next
  localStorage.setItem(storageKey, JSON.stringify(next))
}

export const isTourOpen = (): boolean => tour.isOpen
export const isDone = (step: TourStep): boolean => tour.done.includes(step)
/** The first step that is not done; undefined: all are. */
export const nextStep = (): TourStep | undefined => tourSteps.find((step) => !isDone(step))

/** From the first step on. */
export function startTour(): void {
  keep({ isOpen: true, done: [] })
}

/** For good, until it is started again. */
export function endTour(): void {
  keep({ ...tour, isOpen: false })
}

/** Ticks a step, in whatever order they come; nothing happens outside of a tour. */
export function noteDone(step: TourStep): void {
  if (tour.isOpen && !isDone(step)) keep({ ...tour, done: [...tour.done, step] })
}
