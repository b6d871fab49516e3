/**
 * The quantizations that models can be made into, largest first, with llama.cpp's number for each (`llama_ftype`).
 * Those that need an importance matrix are garbage without one, and llama.cpp refuses to make them.
 */
export const quantizations = {
  F16: { fileType: 1, needsMatrix: false },
  BF16: { fileType: 32, needsMatrix: false },
  Q8_0: { fileType: 7, needsMatrix: false },
  Q6_K: { fileType: 18, needsMatrix: false },
  Q5_K_M: { fileType: 17, needsMatrix: false },
  Q5_K_S: { fileType: 16, needsMatrix: false },
  Q4_K_M: { fileType: 15, needsMatrix: false },
  Q4_K_S: { fileType: 14, needsMatrix: false },
  Q4_0: { fileType: 2, needsMatrix: false },
  IQ4_NL: { fileType: 25, needsMatrix: false },
  IQ4_XS: { fileType: 30, needsMatrix: false },
  Q3_K_M: { fileType: 12, needsMatrix: false },
  Q3_K_S: { fileType: 11, needsMatrix: false },
  IQ3_M: { fileType: 27, needsMatrix: false },
  IQ3_XXS: { fileType: 23, needsMatrix: true },
  Q2_K: { fileType: 10, needsMatrix: false },
  IQ2_M: { fileType: 29, needsMatrix: true },
  IQ2_XS: { fileType: 20, needsMatrix: true },
  IQ2_XXS: { fileType: 19, needsMatrix: true },
} as const satisfies Record<string, Readonly<{ fileType: number; needsMatrix: boolean }>>

export type Quantization = keyof typeof quantizations

export const quantizationNames = Object.keys(quantizations).filter(isQuantization)

export function isQuantization(name: string): name is Quantization {
  return Object.hasOwn(quantizations, name)
}
