/** Colours of series, in the order in which they are given out; told apart in both themes and by most who see few colours. */
export const seriesColors = ['#1f7a72', '#c2621d', '#5b5fc7', '#a83279', '#6b7d0e', '#3a7fb5'] as const

/** The colour of a series by its number. */
export const colorOf = (index: number): string => seriesColors[index % seriesColors.length] ?? seriesColors[0]
