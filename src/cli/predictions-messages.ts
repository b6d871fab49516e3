import type { Text } from '../config/kinds.ts'
import { speaker } from './language.ts'

/** What the `predictions` commands say, and `admin feedback` of answers. Where a text has a place such as {id}, both languages have it. */
export const predictionsMessages = {
  onPrediction: { en: 'on {id}', es: 'sobre {id}' },
  keptOver: { en: '{id} kept over {rejected}', es: '{id} elegida frente a {rejected}' },
  noPredictions: { en: 'No answer to you is remembered.', es: 'No se recuerda ninguna respuesta tuya.' },
  forgotten: { en: 'Forgotten: {count} answers.', es: 'Olvidadas: {count} respuestas.' },
  idOrAll: { en: 'Say which one, or --all for all of them.', es: 'Di cuál, o --all para todas.' },
  storesOn: { en: 'Answers to you are remembered.', es: 'Las respuestas que recibes se recuerdan.' },
  storesOff: { en: 'Answers to you are not remembered.', es: 'Las respuestas que recibes no se recuerdan.' },
  serviceStoresNothing: {
    en: 'This service remembers nobody (STORE_PREDICTIONS=false).',
    es: 'Este servicio no recuerda a nadie (STORE_PREDICTIONS=false).',
  },
  keptDays: {
    en: 'Those without feedback go after {days} days.',
    es: 'Las que no tienen opinión se borran a los {days} días.',
  },
  asked: { en: 'Question', es: 'Pregunta' },
  answered: { en: 'Answer', es: 'Respuesta' },
} as const satisfies Record<string, Text>

export const speakOfPredictions = speaker(predictionsMessages)
export type SayOfPredictions = ReturnType<typeof speakOfPredictions>
