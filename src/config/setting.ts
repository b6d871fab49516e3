import type { Kind, Text } from './kinds.ts'

/** One row of the settings table. The environment variable, the flag, the help and docs/settings.md are made from it. */
export type Setting = Readonly<{
  env: string
  group: Group
  kind: Kind<unknown>
  /** Undefined: no value unless one is given. */
  default: unknown
  /** What stands for the default in the help, where the value alone would not tell. */
  defaultText?: Text
  help: Text
  /** Never shown, and not accepted as a flag: other users of a machine can read the flags of a program. */
  secret?: true
  /** Accepted and checked, but nothing in this version uses it. */
  planned?: true
}>

export const groups = {
  service: { en: 'Service', es: 'Servicio' },
  access: { en: 'Access', es: 'Acceso' },
  models: { en: 'Models', es: 'Modelos' },
  storage: { en: 'Files and storage', es: 'Archivos y almacenamiento' },
  cloud: { en: 'Cloud and network', es: 'Nube y red' },
  limits: { en: 'Limits and cache', es: 'Límites y caché' },
  training: { en: 'Training', es: 'Entrenamiento' },
  telemetry: { en: 'Traces', es: 'Trazas' },
} as const satisfies Record<string, Text>
export type Group = keyof typeof groups
