let count = $state(0)

/** Rises with whatever is added or removed here; what is read in an effect with it is read again then. */
export const changes = (): number => count

export function noteChange(): void {
  count += 1
}
