import type { Text } from '../config/kinds.ts'
import { speaker } from './language.ts'

/** What `models merge` says. Where a text has a place such as {name}, both languages have it. */
export const mergeMessages = {
  merging: { en: 'Merging: tensor {done} of {total}', es: 'Fusionando: tensor {done} de {total}' },
  quantizing: { en: 'Quantizing: tensor {done} of {total}', es: 'Cuantizando: tensor {done} de {total}' },
  installed: {
    en: 'The model {name} is installed ({quantization}, {size}).',
    es: 'El modelo {name} está instalado ({quantization}, {size}).',
  },
} as const satisfies Record<string, Text>

export const speakOfMerge = speaker(mergeMessages)
export type SayOfMerge = ReturnType<typeof speakOfMerge>
