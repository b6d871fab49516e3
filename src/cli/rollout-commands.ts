import type { Command, CommandFlag } from './commands.ts'

const json: CommandFlag = { name: 'json', help: { en: 'Writes JSON.', es: 'Escribe JSON.' } }
const alias: CommandFlag = {
  name: 'alias',
  value: 'NAME',
  help: {
    en: 'The name whose requests are shared. Default: default, for requests that name no model.',
    es: 'El nombre cuyas peticiones se reparten. Por defecto, default: las que no nombran modelo.',
  },
}
const ruleFlags: readonly CommandFlag[] = [
  {
    name: 'min-ratings',
    value: 'N',
    help: {
      en: 'A rule: it acts once each model has so many ratings.',
      es: 'Una regla: actúa cuando cada modelo tiene tantas valoraciones.',
    },
  },
  {
    name: 'promote-when',
    value: 'better|not_worse',
    help: { en: 'When the rule promotes the candidate.', es: 'Cuándo la regla promueve al candidato.' },
  },
  {
    name: 'rollback-when',
    value: 'worse',
    help: { en: 'When the rule rolls back.', es: 'Cuándo la regla vuelve al anterior.' },
  },
  {
    name: 'max-days',
    value: 'N',
    help: { en: 'Rolls back after so many days without a decision.', es: 'Vuelve al anterior tras tantos días sin decisión.' },
  },
  {
    name: 'require-evaluation',
    value: 'ID',
    help: {
      en: 'An evaluation that must have passed before the rule promotes.',
      es: 'Una evaluación que debe haberse superado antes de que la regla promueva.',
    },
  },
]

/** Models that share requests; for admins. */
export const rolloutCommands: readonly Command[] = [
  {
    path: ['rollout', 'start'],
    arguments: ['MODEL=SHARE', 'MODEL=SHARE…'],
    flags: [alias, ...ruleFlags, json],
    help: {
      en: 'Shares requests among models by percent; the first is the one in use now.',
      es: 'Reparte peticiones entre modelos por porcentaje; el primero es el que se usa ahora.',
    },
    run: async (context) => (await import('./rollout.ts')).startRollout(context),
  },
  {
    path: ['rollout', 'show'],
    arguments: ['[ID]'],
    flags: [json],
    help: {
      en: 'Shows the rollouts, or how the models of one do.',
      es: 'Muestra los repartos, o cómo les va a los modelos de uno.',
    },
    run: async (context) => (await import('./rollout.ts')).showRollouts(context),
  },
  {
    path: ['rollout', 'set'],
    arguments: ['MODEL=SHARE', 'MODEL=SHARE…'],
    flags: [alias, json],
    help: { en: 'Changes the shares of the rollout that runs.', es: 'Cambia los porcentajes del reparto en marcha.' },
    run: async (context) => (await import('./rollout.ts')).changeShares(context),
  },
  {
    path: ['rollout', 'promote'],
    arguments: ['[MODEL]'],
    flags: [alias, json],
    help: {
      en: 'Ends the rollout that runs with this model for all requests.',
      es: 'Termina el reparto en marcha con este modelo para todas las peticiones.',
    },
    run: async (context) => (await import('./rollout.ts')).promote(context),
  },
  {
    path: ['rollout', 'rollback'],
    arguments: [],
    flags: [alias, json],
    help: {
      en: 'Goes back: ends what runs with the model before, or undoes the last promotion.',
      es: 'Vuelve atrás: termina el reparto con el modelo anterior, o deshace la última promoción.',
    },
    run: async (context) => (await import('./rollout.ts')).rollBack(context),
  },
  {
    path: ['rollout', 'end'],
    arguments: [],
    flags: [alias, json],
    help: {
      en: 'Ends the rollout: the name means again what it meant without.',
      es: 'Termina el reparto: el nombre vuelve a significar lo que sin él.',
    },
    run: async (context) => (await import('./rollout.ts')).endRollout(context),
  },
  {
    path: ['rollout', 'events'],
    arguments: ['[ID]'],
    flags: [json],
    help: { en: 'Shows what was done to rollouts, and by whom.', es: 'Muestra qué se hizo con los repartos, y quién.' },
    run: async (context) => (await import('./rollout.ts')).showEvents(context),
  },
]
