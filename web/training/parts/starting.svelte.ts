import { addressOf, goTo, place } from '../../shell/router.svelte.ts'

/**
 * What a form begins on the service, once at a time: `start` is its `onsubmit`. `begin` gives the id of what has begun, whose page in this
 * part of the training is shown then, unless the person has gone elsewhere meanwhile.
 */
export function createStarting(part: 'runs' | 'evaluations' | 'rollouts', begin: () => Promise<Readonly<{ id: string }>>) {
  let failure = $state.raw<unknown>(undefined)
  let isStarting = $state(false)
  return {
    /** Why it could not begin. */
    get failure() {
      return failure
    },
    get isStarting() {
      return isStarting
    },
    async start(event: SubmitEvent): Promise<void> {
      event.preventDefault()
      if (isStarting) return
      const from = place()
      isStarting = true
      failure = undefined
      try {
        const { id } = await begin()
        goTo(addressOf('training', part, id), { from })
      } catch (error) {
        failure = error
        isStarting = false
      }
    },
  }
}
