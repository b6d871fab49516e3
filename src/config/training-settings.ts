import { decimal, integer } from './kinds.ts'
import type { Setting } from './setting.ts'

export const trainingSettings = {
  numTrainEpochs: {
    env: 'NUM_TRAIN_EPOCHS',
    group: 'training',
    kind: integer({ minimum: 1, maximum: 1000 }),
    default: undefined,
    defaultText: {
      en: 'as many as make about 60 steps, from 3 to 20',
      es: 'las que dan unos 60 pasos, de 3 a 20',
    },
    help: {
      en: 'Passes over the training data, where a run does not say.',
      es: 'Pasadas sobre los datos de entrenamiento, si no se dice otra cosa.',
    },
  },
  trainBatchSize: {
    env: 'TRAIN_BATCH_SIZE',
    group: 'training',
    kind: integer({ minimum: 1, maximum: 4096 }),
    default: 4,
    help: {
      en: 'Examples per training step, where a run does not say.',
      es: 'Ejemplos por paso de entrenamiento, si no se dice otra cosa.',
    },
  },
  learningRate: {
    env: 'LEARNING_RATE',
    group: 'training',
    kind: decimal({ minimum: 1e-9, maximum: 1 }),
    default: undefined,
    defaultText: { en: '0.001; for dpo 0.00005', es: '0,001; para dpo 0,00005' },
    help: {
      en: 'Size of a training step, where a run does not say.',
      es: 'Tamaño de un paso de entrenamiento, si no se dice otra cosa.',
    },
  },
  trainOnlyWhenIdleSeconds: {
    env: 'TRAIN_ONLY_WHEN_IDLE_SECONDS',
    group: 'training',
    kind: integer({ minimum: 0, maximum: 86_400 }),
    default: 0,
    help: {
      en: 'Training goes on only after so many seconds without a request to the models. 0: it stands still only while they answer.',
      es: 'El entrenamiento sigue solo tras tantos segundos sin peticiones a los modelos. 0: solo se detiene mientras responden.',
    },
  },
} as const satisfies Record<string, Setting>
