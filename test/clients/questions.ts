// What every client asks, so that answers can be compared. Those in Python have the same in python/conformance.py.

export const question = 'The capital of France is'
/** So that the answer is the same each time, and short. */
export const brief = { temperature: 0, max_tokens: 12 }
/** The small model writes on and on from here. */
export const endless = 'Count to a thousand: 1, 2, 3, 4, 5, 6, 7, 8,'

export const city = {
  type: 'object' as const,
  properties: { city: { type: 'string' as const, maxLength: 20 } },
  required: ['city'],
}
export const weather = { name: 'weather', description: 'Tells the weather of a city.', parameters: city }
/** What the function gives for a city, and what the model "scripted" makes of two of them. */
export const weatherIn = (name: string) => `${name.length} degrees`
export const told = 'It is Oslo 4 degrees and Rome 4 degrees'

export const colour = {
  type: 'object',
  properties: { colour: { type: 'string', enum: ['red', 'blue'] } },
  required: ['colour'],
  additionalProperties: false,
} as const

export const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

export const texts = ['a sailing boat', 'a yacht at sea', 'a loaf of bread']

/** Vectors of the texts above: of 384 numbers and unit length, the first two nearer to each other than to the third. */
export function areVectorsOfTexts(vectors: readonly (readonly number[])[]): boolean {
  const [boat = [], yacht = [], bread = []] = vectors
  const dot = (left: readonly number[], right: readonly number[]) =>
    left.reduce((sum, value, index) => sum + value * (right[index] ?? 0), 0)
  const isUnit = (vector: readonly number[]) => vector.length === 384 && Math.abs(dot(vector, vector) - 1) < 1e-4
  return vectors.length === texts.length && vectors.every(isUnit) && dot(boat, yacht) > dot(boat, bread)
}

/** All that comes. */
export async function gather<T>(parts: AsyncIterable<T>): Promise<T[]> {
  const gathered: T[] = []
  for await (const part of parts) gathered.push(part)
  return gathered
}
