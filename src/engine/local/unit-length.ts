/** A vector of the same direction and length 1; one of zeros stays as it is. */
export function toUnitLength(vector: Float32Array): Float32Array {
  let squares = 0
  for (const value of vector) squares += value * value
  const factor = squares === 0 ? 0 : 1 / Math.sqrt(squares)
  return vector.map((value) => value * factor)
}
