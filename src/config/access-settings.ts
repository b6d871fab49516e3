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
