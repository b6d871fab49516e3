/** One line of newline-delimited JSON: JSON itself has no line break outside of texts, and writes those inside as \n. */
export const formatLine = (value: object): string => `${JSON.stringify(value)}\n`

export const ndjson = 'application/x-ndjson'
