import { open } from 'node:fs/promises'

/** Directions that the made vectors differ in, and topics that they belong to. */
const directions = 64
const topics = 2000

/**
 * Writes unit vectors in 32-bit floats that are as unlike each other as those of texts: topics in few directions, each vector some way
 * from its topic, and noise in all dimensions. Vectors of noise alone have no neighbours to speak of, and no graph finds them.
 */
export async function writeVectors(file: string, count: number, dimensions: number): Promise<void> {
  const random = createRandom(7)
  const normals = (length: number, scale: number) => Float32Array.from({ length }, () => scale * normal(random))
  const mixing = normals(directions * dimensions, 1 / Math.sqrt(directions))
  const centres = Array.from({ length: topics }, () => normals(directions, 1))
  const output = await open(file, 'w')
  try {
    for (let done = 0; done < count; done += 1000) {
      const piece = new Float32Array(Math.min(1000, count - done) * dimensions)
      for (let start = 0; start < piece.length; start += dimensions) {
        const centre = centres[Math.floor(random() * topics)] ?? new Float32Array(directions)
        const own = centre.map((value) => value + 0.7 * normal(random))
        const vector = normals(dimensions, 0.25)
        for (const [direction, weight] of own.entries())
          for (let part = 0; part < dimensions; part += 1)
            vector[part] = (vector[part] ?? 0) + weight * (mixing[direction * dimensions + part] ?? 0)
        const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
        piece.set(
          vector.map((value) => value / length),
          start,
        )
      }
      await output.write(new Uint8Array(piece.buffer))
    }
  } finally {
    await output.close()
  }
}

/** Numbers from 0 to 1, always the same ones (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** From the normal distribution (Box-Muller). */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}
