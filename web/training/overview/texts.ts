import type { Text } from '../../../src/config/kinds.ts'

export const texts = {
  intro: {
    en: 'From what people think of the answers to a model that answers better, in five steps.',
    es: 'De lo que la gente opina de las respuestas a un modelo que responde mejor, en cinco pasos.',
  },
  path: { en: 'The path', es: 'El camino' },
  nextTitle: { en: 'Next step', es: 'Siguiente paso' },
  feedback: { en: 'Feedback', es: 'Opiniones' },
  dataset: { en: 'Dataset', es: 'Conjunto de datos' },
  run: { en: 'Run', es: 'Entrenamiento' },
  gate: { en: 'Gate', es: 'Comprobación' },
  rollout: { en: 'Rollout', es: 'Despliegue' },
  feedbackHint: {
    en: 'People rate and correct answers in the chat.',
    es: 'La gente valora y corrige respuestas en el chat.',
  },
  datasetHint: { en: 'What is to be learned, checked and split.', es: 'Lo que se va a aprender, revisado y repartido.' },
  runHint: { en: 'A model learns from it, on this machine.', es: 'Un modelo aprende de ello, en esta máquina.' },
  gateHint: { en: 'Is it better, and was nothing forgotten?', es: '¿Es mejor, y no se olvidó nada?' },
  rolloutHint: { en: 'Some conversations first, then all of them.', es: 'Primero algunas conversaciones, luego todas.' },
  nothing: { en: 'nothing yet', es: 'nada aún' },
  countFeedback: { en: '{count} pieces', es: '{count} opiniones' },
  manyFeedback: { en: 'more than {count} pieces', es: 'más de {count} opiniones' },
  nextFeedback: {
    en: 'Ask something in the chat, and rate or correct the answers. Or begin with a file of examples.',
    es: 'Pregunta algo en el chat y valora o corrige las respuestas. O empieza con un archivo de ejemplos.',
  },
  nextDataset: { en: 'Make a dataset of the feedback that is there.', es: 'Crea un conjunto con las opiniones que hay.' },
  nextRun: { en: 'Train a model with {name}.', es: 'Entrena un modelo con {name}.' },
  nextWatch: { en: '{name} is learning: watch how it goes.', es: '{name} está aprendiendo: mira cómo va.' },
  nextResume: { en: '{name} stands still. Look at it, and let it go on.', es: '{name} está parado. Míralo y déjalo seguir.' },
  nextGate: {
    en: '{name} has learned. Find out whether it is better, and what it forgot.',
    es: '{name} ha aprendido. Averigua si es mejor y qué olvidó.',
  },
  nextWaitGate: { en: 'The comparison of {name} is under way.', es: 'La comparación de {name} está en marcha.' },
  nextFailed: {
    en: '{name} does not pass. Look at where it is worse, improve the dataset, and train again.',
    es: '{name} no pasa. Mira dónde es peor, mejora el conjunto y entrena otra vez.',
  },
  nextRollout: {
    en: '{name} has been compared. Give it a small share of the conversations.',
    es: '{name} ya se ha comparado. Dale una parte pequeña de las conversaciones.',
  },
  nextDecide: {
    en: '{name} answers some people: see what they say of it.',
    es: '{name} responde a algunas personas: mira qué dicen.',
  },
  nextAgain: {
    en: 'All is done with {name}. Collect more feedback for the next round.',
    es: 'Ya está todo hecho con {name}. Reúne más opiniones para la próxima ronda.',
  },
  goFeedback: { en: 'Open the chat', es: 'Abrir el chat' },
  goDataset: { en: 'Make a dataset', es: 'Crear un conjunto' },
  goRun: { en: 'Start a run', es: 'Empezar a entrenar' },
  goLook: { en: 'Look at it', es: 'Verlo' },
  goGate: { en: 'Start a gate', es: 'Empezar una comprobación' },
  goRollout: { en: 'Start a rollout', es: 'Empezar un despliegue' },
} as const satisfies Readonly<Record<string, Text>>
