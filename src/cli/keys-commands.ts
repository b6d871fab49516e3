import type { Command, CommandFlag } from './commands.ts'

const json: CommandFlag = { name: 'json', help: { en: 'Writes JSON.', es: 'Escribe JSON.' } }
const quotaFlags: readonly CommandFlag[] = [
  {
    name: 'requests-per-day',
    value: 'N',
    help: { en: 'Requests to models in a day (UTC).', es: 'Peticiones a los modelos en un día (UTC).' },
  },
  {
    name: 'tokens-per-day',
    value: 'N',
    help: { en: 'Tokens of prompts and answers in a day.', es: 'Tokens de peticiones y respuestas en un día.' },
  },
  {
    name: 'cost-per-day',
    value: 'USD',
    help: { en: 'What cloud models may cost in a day.', es: 'Lo que pueden costar los modelos de la nube en un día.' },
  },
]
const addFlags: readonly CommandFlag[] = [
  {
    name: 'scopes',
    value: 'LIST',
    help: {
      en: 'Which of inference,documents,feedback,metrics,admin. Default: inference.',
      es: 'Cuáles de inference,documents,feedback,metrics,admin. Por defecto, inference.',
    },
  },
  {
    name: 'expires',
    value: 'TIME',
    help: { en: 'When it dies: 90d, 2030-12-31. Default: never.', es: 'Cuándo caduca: 90d, 2030-12-31. Por defecto, nunca.' },
  },
  ...quotaFlags,
  json,
]

const add: Omit<Command, 'path'> = {
  arguments: ['NAME'],
  flags: addFlags,
  help: { en: 'Makes an API key of yours, and shows it once.', es: 'Crea una clave de API tuya, y la muestra una vez.' },
  run: async (context) => (await import('./keys.ts')).addKey(context),
}

/** API keys: those of the person, and for admins those of all. */
export const keysCommands: readonly Command[] = [
  {
    path: ['keys', 'list'],
    arguments: [],
    flags: [json],
    help: { en: 'Lists your API keys.', es: 'Lista tus claves de API.' },
    run: async (context) => (await import('./keys.ts')).listKeys(context, 'own'),
  },
  { ...add, path: ['keys', 'add'] },
  {
    path: ['keys', 'revoke'],
    arguments: ['ID'],
    flags: [],
    help: { en: 'Ends one of your API keys.', es: 'Anula una de tus claves de API.' },
    run: async (context) => (await import('./keys.ts')).revokeKey(context, 'own'),
  },
  {
    path: ['admin', 'keys', 'list'],
    arguments: [],
    flags: [json],
    help: { en: 'Lists the API keys of all users.', es: 'Lista las claves de API de todos los usuarios.' },
    run: async (context) => (await import('./keys.ts')).listKeys(context, 'all'),
  },
  { ...add, path: ['admin', 'keys', 'add'] },
  {
    path: ['admin', 'keys', 'revoke'],
    arguments: ['ID'],
    flags: [],
    help: { en: "Ends anybody's API key.", es: 'Anula la clave de API de cualquiera.' },
    run: async (context) => (await import('./keys.ts')).revokeKey(context, 'all'),
  },
  {
    path: ['admin', 'users', 'quota'],
    arguments: ['USERNAME'],
    flags: quotaFlags,
    help: {
      en: 'Changes what a user may use in a day; 0 is without limit, "default" as for all users.',
      es: 'Cambia lo que un usuario puede gastar en un día; 0 es sin límite, "default" como todos.',
    },
    run: async (context) => (await import('./keys.ts')).changeQuota(context),
  },
]
