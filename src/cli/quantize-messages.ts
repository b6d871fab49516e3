import type { Text } from '../config/kinds.ts'
import { speaker } from './language.ts'

/** What `models quantize` and `models report` say. Where a text has a place such as {name}, both languages have it. */
export const quantizeMessages = {
  badQuantization: {
    en: 'There is no quantization "{name}". Choose one of: {known}.',
    es: 'No existe la cuantización "{name}". Elige una de: {known}.',
  },
  unreadableFile: { en: 'The file {file} cannot be read.', es: 'No se puede leer el archivo {file}.' },
  calibrating: { en: 'Importance matrix: text {done} of {total}', es: 'Matriz de importancia: texto {done} de {total}' },
  quantizing: { en: 'Quantizing: tensor {done} of {total}', es: 'Cuantizando: tensor {done} de {total}' },
  measuring: { en: 'Measuring both models: text {done} of {total}', es: 'Midiendo los dos modelos: texto {done} de {total}' },
  installed: { en: 'The model {name} is installed ({size}).', es: 'El modelo {name} está instalado ({size}).' },
  fallback: {
    en: '{count} of its tensors have a shape that the quantization does not allow; they are larger.',
    es: '{count} de sus tensores tienen una forma que la cuantización no admite; ocupan más.',
  },
  noReport: { en: 'It could not be measured: {reason}', es: 'No se pudo medir: {reason}' },
  original: { en: 'original', es: 'original' },
  result: { en: 'result', es: 'resultado' },
  model: { en: 'model', es: 'modelo' },
  quantization: { en: 'quantization', es: 'cuantización' },
  size: { en: 'size', es: 'tamaño' },
  bitsPerWeight: { en: 'bits per weight', es: 'bits por peso' },
  speed: { en: 'tokens/s (CPU)', es: 'tokens/s (CPU)' },
  perplexity: { en: 'perplexity (less is better)', es: 'perplejidad (menos es mejor)' },
  divergence: { en: 'KL divergence (0: the same)', es: 'divergencia KL (0: igual)' },
  agreement: { en: 'same likeliest token', es: 'mismo token más probable' },
} as const satisfies Record<string, Text>

export const speakOfQuantize = speaker(quantizeMessages)
export type SayOfQuantize = ReturnType<typeof speakOfQuantize>
