import { seconds, text, yesOrNo } from './kinds.ts'
import type { Setting } from './setting.ts'

export const accessSettings = {
  secretKey: {
    env: 'SECRET_KEY',
    group: 'access',
    kind: text({ pattern: /^.{32,}$/, expected: { en: 'at least 32 characters', es: 'al menos 32 caracteres' } }),
    default: undefined,
    defaultText: {
      en: 'made at the first start and kept in DATA_DIR',
      es: 'se crea en el primer arranque y se guarda en DATA_DIR',
    },
    secret: true,
    help: {
      en: 'Signs the tokens of users. Required in production and on any address other than loopback.',
      es: 'Firma los tokens de los usuarios. Obligatoria en producción y en toda dirección que no sea la local.',
    },
  },
  metricsToken: {
    env: 'METRICS_TOKEN',
    group: 'access',
    kind: text({
      pattern: /^[\x21-\x7e]{32,512}$/,
      expected: { en: '32 to 512 characters without blanks', es: 'de 32 a 512 caracteres sin espacios' },
    }),
    default: undefined,
    defaultText: {
      en: 'none: collectors elsewhere need an API key',
      es: 'ninguno: los recolectores de otras máquinas necesitan una clave de API',
    },
    secret: true,
    help: {
      en: 'Lets a collector on another machine read /metrics, also while the database is away. It opens nothing else.',
      es: 'Permite que un recolector de otra máquina lea /metrics, también mientras falta la base de datos. No abre nada más.',
    },
  },
  tokenTtlSeconds: {
    env: 'TOKEN_TTL_SECONDS',
    group: 'access',
    kind: seconds,
    default: 86_400,
    help: { en: 'How long a login lasts.', es: 'Cuánto dura una sesión iniciada.' },
  },
  allowAnonymous: {
    env: 'ALLOW_ANONYMOUS',
    group: 'access',
    kind: yesOrNo,
    default: undefined,
    defaultText: {
      en: 'true in development on a loopback address, else false',
      es: 'true en development en una dirección local; si no, false',
    },
    help: { en: 'May one ask the model without a token?', es: '¿Se puede preguntar al modelo sin token?' },
  },
  allowRegistration: {
    env: 'ALLOW_REGISTRATION',
    group: 'access',
    kind: yesOrNo,
    default: true,
    help: {
      en: 'May anyone who reaches the service open an account? The first account, and those that admins open, need no permission.',
      es: '¿Puede abrir una cuenta cualquiera que llegue al servicio? La primera, y las que abren los administradores, siempre se pueden.',
    },
  },
} as const satisfies Record<string, Setting>
