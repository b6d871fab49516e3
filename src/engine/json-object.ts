export type JsonObject = Readonly<Record<string, unknown>>

/** An object that is no list. */
export const isJsonObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
