/** The largest part of a vector becomes this number, or its negative. */
const peakCode = 127

/**
 * Writes the direction of a vector in numbers of one byte, and gives the distance from the vector to the unit vector of that
 * direction. The cosine of two coded directions is off by no more than the two distances together (Cauchy-Schwarz).
 */
export function encodeDirection(vector: Float32Array, codes: Int8Array): number {
  let peak = 0
  // Loops by place: each vector passes here when it is loaded, and iterators take several times as long.
  for (let part = 0; part < vector.length; part += 1) peak = Math.max(peak, Math.abs(vector[part] ?? 0))
  let squares = 0
  let codeSquares = 0
  let product = 0
  for (let part = 0; part < vector.length; part += 1) {
    const value = vector[part] ?? 0
    const code = Math.round((value / peak) * peakCode)
    codes[part] = code
    squares += value * value
    codeSquares += code * code
    product += code * value
  }
  return Math.sqrt(Math.max(0, squares + 1 - (2 * product) / Math.sqrt(codeSquares)))
}

/** The product of a vector with the one that begins at `offset` of many, in double precision. */
export function dot(vector: Float32Array, many: Float32Array, offset: number): number {
  // Four sums: one alone would wait for itself at each step.
  let [first, second, third, fourth] = [0, 0, 0, 0]
  const whole = vector.length - (vector.length % 4)
  for (let part = 0; part < whole; part += 4) {
    const place = offset + part
    first += (vector[part] ?? 0) * (many[place] ?? 0)
    second += (vector[part + 1] ?? 0) * (many[place + 1] ?? 0)
    third += (vector[part + 2] ?? 0) * (many[place + 2] ?? 0)
    fourth += (vector[part + 3] ?? 0) * (many[place + 3] ?? 0)
  }
  for (let part = whole; part < vector.length; part += 1) first += (vector[part] ?? 0) * (many[offset + part] ?? 0)
  return first + second + third + fourth
}
