import type { Command, CommandFlag } from './commands.ts'

const json: CommandFlag = { name: 'json', help: { en: 'Writes JSON.', es: 'Escribe JSON.' } }
const judge: CommandFlag = {
  name: 'judge',
  value: 'MODEL',
  help: {
    en: 'A model that compares the answers; one of a cloud gets questions and answers.',
    es: 'Un modelo que compara las respuestas; uno de la nube recibe preguntas y respuestas.',
  },
}

const gateFlags: readonly CommandFlag[] = [
  {
    name: 'dataset',
    value: 'NAME',
    help: {
      en: 'Whose held-out rows: NAME or NAME:VERSION.',
      es: 'De qué datos se usan las filas reservadas: NAME o NAME:VERSION.',
    },
  },
  {
    name: 'run',
    value: 'RUN',
    help: { en: 'A training run: its adapter and its dataset.', es: 'Un entrenamiento: su adaptador y sus datos.' },
  },
  {
    name: 'baseline',
    value: 'MODEL',
    help: {
      en: 'What it is compared with; default: the model in use.',
      es: 'Con qué se compara; por defecto, el modelo en uso.',
    },
  },
  judge,
]

/** The commands that compare models. */
export const evaluateCommands: readonly Command[] = [
  {
    path: ['train', 'evaluate'],
    arguments: ['[MODEL|RUN]'],
    flags: [...gateFlags, json],
    help: {
      en: 'Compares a model, or what a training run has made, with the one in use, and says whether it passes (exit code 1: it does not, or nothing could tell).',
      es: 'Compara un modelo, o el resultado de un entrenamiento, con el que está en uso y dice si pasa (código de salida 1: no pasa, o no se puede saber).',
    },
    run: async (context) => (await import('./evaluate.ts')).evaluateCandidate(context),
  },
  {
    path: ['train', 'evaluations'],
    arguments: ['[ID]'],
    flags: [json],
    help: { en: 'Lists the comparisons of models, or shows one.', es: 'Lista las comparaciones de modelos, o muestra una.' },
    run: async (context) => (await import('./evaluate.ts')).showEvaluations(context),
  },
  {
    path: ['models', 'compare'],
    arguments: ['A', 'B'],
    flags: [
      {
        name: 'conversations',
        value: 'N',
        help: {
          en: 'How many of your last conversations; default: 20.',
          es: 'Cuántas de tus últimas conversaciones; por defecto, 20.',
        },
      },
      judge,
      json,
    ],
    help: {
      en: 'Has two models answer your last conversations again, side by side.',
      es: 'Hace que dos modelos respondan de nuevo a tus últimas conversaciones, lado a lado.',
    },
    run: async (context) => (await import('./evaluate.ts')).compareModels(context),
  },
]
