import { isQuantization, type Quantization, quantizationNames, quantizations } from '../../src/engine/quantization.ts'

/** Bits for each weight of a usual model, its scales included. Small models come out larger, as their vocabulary keeps more. */
const bitsPerWeight: Readonly<Record<Quantization, number>> = {
  F16: 16,
  BF16: 16,
  Q8_0: 8.5,
  Q6_K: 6.57,
  Q5_K_M: 5.7,
  Q5_K_S: 5.54,
  Q4_K_M: 4.87,
  Q4_K_S: 4.6,
  Q4_0: 4.55,
  IQ4_NL: 4.5,
  IQ4_XS: 4.3,
  Q3_K_M: 3.95,
  Q3_K_S: 3.5,
  IQ3_M: 3.66,
  IQ3_XXS: 3.06,
  Q2_K: 3.2,
  IQ2_M: 2.7,
  IQ2_XS: 2.31,
  IQ2_XXS: 2.06,
}

export type QuantizationChoice = Readonly<{
  quantization: Quantization
  bits: number
  /** About what the file will take; undefined where the model does not tell its parameters. */
  bytes: number | undefined
  needsText: boolean
}>

/** All quantizations, largest first. */
export function quantizationChoices(parameters: number | undefined): readonly QuantizationChoice[] {
  return quantizationNames.map((quantization) => {
    const bits = bitsPerWeight[quantization]
    const bytes = parameters === undefined || parameters === 0 ? undefined : (parameters * bits) / 8
    return { quantization, bits, bytes, needsText: quantizations[quantization].needsMatrix }
  })
}

export const toQuantization = (name: string): Quantization | undefined => (isQuantization(name) ? name : undefined)
