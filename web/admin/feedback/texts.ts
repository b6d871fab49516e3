import type { Text } from '../../../src/config/kinds.ts'

export const texts = {
  title: { en: 'Feedback', es: 'Opiniones' },
  none: { en: 'No feedback yet.', es: 'Todavía no hay opiniones.' },
  export: { en: 'Export as JSONL', es: 'Exportar en JSONL' },
  exportWithAnswers: { en: 'With the answers', es: 'Con las respuestas' },
  rating: { en: 'Rating', es: 'Valoración' },
  up: { en: 'Good answer', es: 'Buena respuesta' },
  down: { en: 'Bad answer', es: 'Mala respuesta' },
  tag: { en: 'Tag', es: 'Etiqueta' },
  model: { en: 'Model', es: 'Modelo' },
  correction: { en: 'Correction', es: 'Corrección' },
  with: { en: 'with one', es: 'con ella' },
  without: { en: 'without', es: 'sin ella' },
  corrected: { en: 'As it should have been:', es: 'Como debería haber sido:' },
  keptOver: { en: 'kept over {id}', es: 'elegida frente a {id}' },
  answer: { en: 'answer {id}', es: 'respuesta {id}' },
  by: { en: 'user {id}', es: 'usuario {id}' },
  anonymous: { en: 'not signed in', es: 'sin sesión' },
  toTraining: { en: 'Make a dataset of it', es: 'Hacer un conjunto de datos' },
} as const satisfies Readonly<Record<string, Text>>
