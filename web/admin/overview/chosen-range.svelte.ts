import { firstRange, type Range, rangePath } from '../range.ts'

let chosen = $state.raw<Range>(firstRange)

/** The range that was looked at last, for the way back to the overview. */
export const rememberRange = (range: Range): void => {
  chosen = range
}

export const addressOfRange = (range: Range): string => `#/admin/overview/${rangePath(range).map(encodeURIComponent).join('/')}`
export const overviewAddress = (): string => addressOfRange(chosen)
export const chosenRange = (): Range => chosen
