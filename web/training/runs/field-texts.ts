import type { Text } from '../../../src/config/kinds.ts'
import type { FieldName } from './fields.ts'

type FieldText = Readonly<{ label: Text; hint: Text }>

/** The settings of a run that stand under "more". */
export const fieldTexts: Readonly<Record<FieldName, FieldText>> = {
  epochs: {
    label: { en: 'Epochs', es: 'Épocas' },
    hint: { en: 'Passes over the examples.', es: 'Pasadas por los ejemplos.' },
  },
  batch_size: {
    label: { en: 'Batch size', es: 'Tamaño de lote' },
    hint: { en: 'Examples at once; takes memory.', es: 'Ejemplos a la vez; ocupa memoria.' },
  },
  accumulation: {
    label: { en: 'Accumulation', es: 'Acumulación' },
    hint: { en: 'Batches before each update.', es: 'Lotes antes de cada actualización.' },
  },
  learning_rate: {
    label: { en: 'Learning rate', es: 'Tasa de aprendizaje' },
    hint: { en: 'Size of a step at its height.', es: 'Tamaño máximo de un paso.' },
  },
  warmup: {
    label: { en: 'Warm-up', es: 'Calentamiento' },
    hint: {
      en: 'Share of the updates in which the rate rises first.',
      es: 'Parte de las actualizaciones en las que la tasa sube al principio.',
    },
  },
  rank: {
    label: { en: 'Rank', es: 'Rango' },
    hint: { en: 'Size of the adapter.', es: 'Tamaño del adaptador.' },
  },
  alpha: {
    label: { en: 'Alpha', es: 'Alfa' },
    hint: { en: 'Strength of the adapter, as against its rank.', es: 'Fuerza del adaptador en relación con su rango.' },
  },
  dropout: {
    label: { en: 'Dropout', es: 'Dropout' },
    hint: { en: 'Share of inputs that is zeroed at random.', es: 'Parte de las entradas que se anula al azar.' },
  },
  max_length: {
    label: { en: 'Longest example', es: 'Ejemplo más largo' },
    hint: { en: 'In tokens; longer ones are left out.', es: 'En tokens; los más largos quedan fuera.' },
  },
  max_gradient_norm: {
    label: { en: 'Largest gradient', es: 'Gradiente máximo' },
    hint: { en: 'Greater ones are scaled down; 0: never.', es: 'Los mayores se reducen; 0: nunca.' },
  },
  weight_decay: {
    label: { en: 'Weight decay', es: 'Decaimiento de pesos' },
    hint: { en: 'How much weights shrink with each step.', es: 'Cuánto encogen los pesos en cada paso.' },
  },
  seed: {
    label: { en: 'Seed', es: 'Semilla' },
    hint: { en: 'The same seed and data give the same adapter.', es: 'La misma semilla y datos dan el mismo adaptador.' },
  },
  patience: {
    label: { en: 'Patience', es: 'Paciencia' },
    hint: {
      en: 'Ends after so many epochs without a lower held-out loss; 0: never.',
      es: 'Termina tras tantas épocas sin bajar la pérdida en lo reservado; 0: nunca.',
    },
  },
  beta: {
    label: { en: 'Beta', es: 'Beta' },
    hint: { en: 'How near the model is kept to what it was.', es: 'Cuánto se mantiene el modelo cerca de lo que era.' },
  },
  replay: {
    label: { en: 'Replay', es: 'Repaso' },
    hint: {
      en: 'General text for each token of the examples, so that nothing is forgotten.',
      es: 'Texto general por cada token de ejemplo, para que no se olvide nada.',
    },
  },
}

export const choiceTexts = {
  schedule: { en: 'Schedule', es: 'Curva de la tasa' },
  scheduleHint: { en: 'How the learning rate falls.', es: 'Cómo baja la tasa de aprendizaje.' },
  packs: { en: 'Packing', es: 'Empaquetado' },
  packsHint: { en: 'Whether short examples share a row.', es: 'Si los ejemplos cortos comparten fila.' },
  packsOn: { en: 'on', es: 'sí' },
  packsOff: { en: 'off', es: 'no' },
  modules: { en: 'Layers that are adapted', es: 'Capas que se adaptan' },
  replayDataset: { en: 'Dataset to replay', es: 'Conjunto para repasar' },
  replayOwn: { en: 'the text that comes with the program', es: 'el texto que viene con el programa' },
} as const satisfies Readonly<Record<string, Text>>
