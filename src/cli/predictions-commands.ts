import type { Command, CommandFlag } from './commands.ts'

const json: CommandFlag = { name: 'json', help: { en: 'Writes JSON.', es: 'Escribe JSON.' } }
const commonFlags: readonly CommandFlag[] = [
  {
    name: 'rating',
    value: 'up|down',
    help: { en: 'Only those with this rating.', es: 'Solo las que tienen esta valoración.' },
  },
  { name: 'model', value: 'MODEL', help: { en: 'Only answers of this model.', es: 'Solo respuestas de este modelo.' } },
  { name: 'from', value: 'TIME', help: { en: 'Since this day or time.', es: 'Desde este día u hora.' } },
  { name: 'to', value: 'TIME', help: { en: 'Until this day or time.', es: 'Hasta este día u hora.' } },
]

/** Of `admin feedback`. */
export const feedbackFlags: readonly CommandFlag[] = [
  ...commonFlags,
  { name: 'tag', value: 'TAG', help: { en: 'Only those with this tag.', es: 'Solo las que tienen esta etiqueta.' } },
  { name: 'corrected', help: { en: 'Only those with a correction.', es: 'Solo las que tienen una corrección.' } },
]

/** The answers to the person that are remembered. */
export const predictionsCommands: readonly Command[] = [
  {
    path: ['predictions', 'list'],
    arguments: [],
    flags: [...commonFlags, json],
    help: {
      en: 'Lists the answers to you that are remembered, newest first.',
      es: 'Lista las respuestas tuyas que se recuerdan, las más nuevas primero.',
    },
    run: async (context) => (await import('./predictions.ts')).listPredictions(context),
  },
  {
    path: ['predictions', 'show'],
    arguments: ['ID'],
    flags: [json],
    help: { en: 'Shows one of them with its question.', es: 'Muestra una de ellas con su pregunta.' },
    run: async (context) => (await import('./predictions.ts')).showPrediction(context),
  },
  {
    path: ['predictions', 'delete'],
    arguments: ['[ID]'],
    flags: [{ name: 'all', help: { en: 'Forgets all of them.', es: 'Las olvida todas.' } }],
    help: { en: 'Forgets one of them, or all.', es: 'Olvida una de ellas, o todas.' },
    run: async (context) => (await import('./predictions.ts')).deletePredictions(context),
  },
  {
    path: ['predictions', 'on'],
    arguments: [],
    flags: [],
    help: { en: 'Has answers to you remembered from now on.', es: 'Desde ahora se recuerdan las respuestas que recibes.' },
    run: async (context) => (await import('./predictions.ts')).storePredictions(context, true),
  },
  {
    path: ['predictions', 'off'],
    arguments: [],
    flags: [],
    help: {
      en: 'Has no answers to you remembered from now on; what is remembered stays until you delete it.',
      es: 'Desde ahora no se recuerdan las respuestas que recibes; lo ya recordado sigue hasta que lo borres.',
    },
    run: async (context) => (await import('./predictions.ts')).storePredictions(context, false),
  },
]
