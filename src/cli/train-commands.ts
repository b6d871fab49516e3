import type { Text } from '../config/kinds.ts'
import type { Command, CommandFlag } from './commands.ts'

const json: CommandFlag = { name: 'json', help: { en: 'Writes JSON.', es: 'Escribe JSON.' } }
const flag = (name: string, value: string, en: string, es: string): CommandFlag => ({ name, value, help: { en, es } })

const startFlags: readonly CommandFlag[] = [
  flag(
    'dataset',
    'NAME',
    'Dataset, as NAME or NAME:VERSION. Default: the newest.',
    'Datos, como NOMBRE o NOMBRE:VERSIÓN. Por defecto, los últimos.',
  ),
  flag('model', 'MODEL', 'Model that learns. Default: the one in use.', 'Modelo que aprende. Por defecto, el que está en uso.'),
  flag('name', 'NAME', 'Name of what is made.', 'Nombre de lo que se crea.'),
  flag(
    'method',
    'sft|dpo',
    'sft learns answers, dpo prefers one to another.',
    'sft aprende respuestas, dpo prefiere una a otra.',
  ),
  flag('epochs', 'N', 'Passes over the examples.', 'Pasadas sobre los ejemplos.'),
  flag('batch-size', 'N', 'Examples evaluated at once.', 'Ejemplos que se evalúan a la vez.'),
  flag('learning-rate', 'N', 'Size of a step at its height.', 'Tamaño máximo de un paso.'),
  flag('accumulation', 'N', 'Evaluations before each update.', 'Evaluaciones antes de cada cambio.'),
  flag('schedule', 'cosine|linear|constant', 'How the learning rate falls.', 'Cómo baja la tasa de aprendizaje.'),
  flag('warmup', 'SHARE', 'Share of the steps in which the rate rises.', 'Parte de los pasos en la que la tasa sube.'),
  flag('rank', 'N', 'Rank of the adapter.', 'Rango del adaptador.'),
  flag('alpha', 'N', 'Strength of the adapter: alpha / rank.', 'Fuerza del adaptador: alpha / rango.'),
  flag('modules', 'LIST', 'Layers that are adapted: attn_q,ffn_up,…', 'Capas que se adaptan: attn_q,ffn_up,…'),
  flag('dropout', 'SHARE', 'Inputs that are zeroed at random.', 'Entradas que se anulan al azar.'),
  flag('max-length', 'TOKENS', 'Longer examples are left out.', 'Los ejemplos más largos se descartan.'),
  flag('max-gradient-norm', 'N', 'Greater gradients are scaled down; 0: never.', 'Los gradientes mayores se reducen; 0: nunca.'),
  flag('weight-decay', 'N', 'How much weights shrink.', 'Cuánto se encogen los pesos.'),
  flag('seed', 'N', 'The same seed gives the same result.', 'La misma semilla da el mismo resultado.'),
  flag('patience', 'EPOCHS', 'Ends after so many without progress; 0: never.', 'Termina tras tantas sin mejora; 0: nunca.'),
  flag('beta', 'N', 'Of dpo: how near to the original.', 'De dpo: lo cerca que queda del original.'),
  flag('replay', 'SHARE', 'General text for each token; 0: none.', 'Texto general por cada token; 0: nada.'),
  flag('replay-dataset', 'NAME', 'Dataset that is replayed.', 'Datos que se repasan.'),
  { name: 'no-packing', help: { en: 'Each example has a row of its own.', es: 'Cada ejemplo tiene su propia fila.' } },
  { name: 'detach', help: { en: 'Does not wait for the end.', es: 'No espera al final.' } },
  json,
]

const start = {
  arguments: [],
  flags: startFlags,
  run: async (context) => (await import('./train.ts')).startTraining(context),
} as const satisfies Omit<Command, 'path' | 'help'>

const change = (name: 'cancel' | 'pause' | 'resume', help: Text): Command => ({
  path: ['train', name],
  arguments: ['RUN'],
  flags: [json],
  help,
  run: async (context) => (await import('./train.ts')).changeTraining(context, name),
})

/** The commands about training; a run is named by its name or its id. */
export const trainCommands: readonly Command[] = [
  {
    ...start,
    path: ['trainer'],
    help: {
      en: 'Trains the model in use on the newest dataset, and shows how it goes.',
      es: 'Entrena el modelo en uso con los últimos datos y muestra cómo va.',
    },
  },
  {
    ...start,
    path: ['train', 'start'],
    help: {
      en: 'Trains a model on a dataset, and shows how it goes.',
      es: 'Entrena un modelo con unos datos y muestra cómo va.',
    },
  },
  {
    path: ['train', 'list'],
    arguments: [],
    flags: [json],
    help: { en: 'Lists the training runs, newest first.', es: 'Lista los entrenamientos, los más nuevos primero.' },
    run: async (context) => (await import('./train.ts')).listTraining(context),
  },
  {
    path: ['train', 'show'],
    arguments: ['RUN'],
    flags: [json],
    help: { en: 'Shows a training run.', es: 'Muestra un entrenamiento.' },
    run: async (context) => (await import('./train.ts')).showTraining(context),
  },
  {
    path: ['train', 'watch'],
    arguments: ['RUN'],
    flags: [],
    help: { en: 'Shows how a run goes, until it ends.', es: 'Muestra cómo va un entrenamiento, hasta que termine.' },
    run: async (context) => (await import('./train.ts')).watchTraining(context),
  },
  change('pause', {
    en: 'Writes a checkpoint, and gives the machine back.',
    es: 'Guarda el estado y deja libre la máquina.',
  }),
  change('resume', { en: 'Goes on with a run where it stood.', es: 'Continúa un entrenamiento donde estaba.' }),
  change('cancel', { en: 'Ends a run.', es: 'Termina un entrenamiento.' }),
  {
    path: ['train', 'delete'],
    arguments: ['RUN'],
    flags: [],
    help: {
      en: 'Deletes a run; the model that it made stays.',
      es: 'Borra un entrenamiento; el modelo que creó se queda.',
    },
    run: async (context) => (await import('./train.ts')).deleteTraining(context),
  },
]
