import type { Command, CommandFlag } from './commands.ts'

const json: CommandFlag = { name: 'json', help: { en: 'Writes JSON.', es: 'Escribe JSON.' } }

const splitFlags: readonly CommandFlag[] = [
  {
    name: 'held-out',
    value: 'SHARE',
    help: { en: 'Share that is kept for comparing; default: 0.1.', es: 'Parte que se reserva para comparar; por defecto, 0.1.' },
  },
  {
    name: 'seed',
    value: 'NUMBER',
    help: { en: 'Draws what is held out; default: 0.', es: 'Sortea lo que se reserva; por defecto, 0.' },
  },
  {
    name: 'exclude',
    value: 'LIST',
    help: {
      en: 'Rows to leave out: duplicate,near-duplicate,other-answer,secret.',
      es: 'Filas que se dejan fuera: duplicate,near-duplicate,other-answer,secret.',
    },
  },
]

const feedbackFlags: readonly CommandFlag[] = [
  {
    name: 'method',
    value: 'sft|dpo',
    help: { en: 'Answers to learn (sft) or pairs (dpo).', es: 'Respuestas que aprender (sft) o parejas (dpo).' },
  },
  {
    name: 'rating',
    value: 'up|down',
    help: { en: 'Only feedback with this rating.', es: 'Solo opiniones con esta valoración.' },
  },
  { name: 'model', value: 'NAME', help: { en: 'Only on answers of this model.', es: 'Solo de respuestas de este modelo.' } },
  { name: 'user', value: 'USERNAME', help: { en: 'Only for this user.', es: 'Solo de este usuario.' } },
  { name: 'from', value: 'TIME', help: { en: 'Since this day or time.', es: 'Desde este día u hora.' } },
  { name: 'to', value: 'TIME', help: { en: 'Until this day or time.', es: 'Hasta este día u hora.' } },
  { name: 'tags', value: 'LIST', help: { en: 'Only feedback with one of these.', es: 'Solo opiniones con una de estas.' } },
]

/** The commands about what models learn from. */
export const datasetsCommands: readonly Command[] = [
  {
    path: ['datasets', 'list'],
    arguments: [],
    flags: [json],
    help: { en: 'Lists the datasets to train with.', es: 'Lista los conjuntos de datos para entrenar.' },
    run: async (context) => (await import('./datasets.ts')).listDatasets(context),
  },
  {
    path: ['datasets', 'show'],
    arguments: ['NAME'],
    flags: [json],
    help: {
      en: 'Shows a dataset: what was kept, refused and flagged.',
      es: 'Muestra un conjunto de datos: qué se guardó, se rechazó y se marcó.',
    },
    run: async (context) => (await import('./datasets.ts')).showDataset(context),
  },
  {
    path: ['datasets', 'add'],
    arguments: ['FILE'],
    flags: [
      {
        name: 'name',
        value: 'NAME',
        help: { en: 'What it is called; default: as the file.', es: 'Cómo se llama; por defecto, como el archivo.' },
      },
      {
        name: 'format',
        value: 'NAME',
        help: {
          en: 'chat, prompt-completion, alpaca, sharegpt, preference or text; default: as each row says.',
          es: 'chat, prompt-completion, alpaca, sharegpt, preference o text; por defecto, lo que diga cada fila.',
        },
      },
      ...splitFlags,
      json,
    ],
    help: {
      en: 'Makes a dataset, or a new version of one, of a file.',
      es: 'Crea un conjunto de datos, o una versión nueva, con un archivo.',
    },
    run: async (context) => (await import('./datasets.ts')).addDataset(context),
  },
  {
    path: ['datasets', 'from-feedback'],
    arguments: ['NAME'],
    flags: [...feedbackFlags, ...splitFlags, json],
    help: {
      en: 'Makes a dataset of the feedback on answers.',
      es: 'Crea un conjunto de datos con las opiniones sobre las respuestas.',
    },
    run: async (context) => (await import('./datasets.ts')).addFromFeedback(context),
  },
  {
    path: ['datasets', 'export'],
    arguments: ['NAME'],
    flags: [
      {
        name: 'split',
        value: 'train|held-out',
        help: { en: 'Only the rows of this split.', es: 'Solo las filas de esta parte.' },
      },
      { name: 'output', value: 'FILE', help: { en: 'Where to write it.', es: 'Dónde escribirlo.' } },
    ],
    help: { en: 'Writes a dataset as JSON lines.', es: 'Escribe un conjunto de datos como líneas JSON.' },
    run: async (context) => (await import('./datasets.ts')).exportDataset(context),
  },
  {
    path: ['datasets', 'delete'],
    arguments: ['NAME'],
    flags: [],
    help: { en: 'Deletes a version of a dataset.', es: 'Borra una versión de un conjunto de datos.' },
    run: async (context) => (await import('./datasets.ts')).deleteDataset(context),
  },
]
