import { byteSize, integer, seconds } from './kinds.ts'
import type { Setting } from './setting.ts'

export const limitSettings = {
  maxQueue: {
    env: 'MAX_QUEUE',
    group: 'limits',
    kind: integer({ minimum: 0, maximum: 100_000 }),
    default: 64,
    help: {
      en: 'Requests that may wait for the model; one more is answered with 503 at once.',
      es: 'Peticiones que pueden esperar al modelo; la siguiente recibe un 503 al instante.',
    },
  },
  maxBodyBytes: {
    env: 'MAX_BODY_BYTES',
    group: 'limits',
    kind: byteSize,
    default: 8_388_608,
    help: {
      en: 'Largest request body. Long sessions of coding assistants, and pictures, need some megabytes.',
      es: 'Mayor tamaño del cuerpo de una petición. Las sesiones largas de asistentes de programación y las imágenes ocupan varios megas.',
    },
  },
  maxDocumentBytes: {
    env: 'MAX_DOCUMENT_BYTES',
    group: 'limits',
    kind: byteSize,
    default: 104_857_600,
    help: {
      en: 'Largest document, largest upload of several documents together, and largest file of a dataset.',
      es: 'Mayor tamaño de un documento, de varios que se suben juntos y del archivo de un conjunto de datos.',
    },
  },
  rateLimitRequests: {
    env: 'RATE_LIMIT_REQUESTS',
    group: 'limits',
    kind: integer({ minimum: 1, maximum: 1_000_000 }),
    default: 10,
    help: {
      en: 'Requests to the model that one client may send in a window.',
      es: 'Peticiones al modelo que un cliente puede enviar en una ventana.',
    },
  },
  rateLimitWindowSeconds: {
    env: 'RATE_LIMIT_WINDOW_SECONDS',
    group: 'limits',
    kind: seconds,
    default: 60,
    help: { en: 'Length of that window.', es: 'Duración de esa ventana.' },
  },
  userRequestsPerDay: {
    env: 'USER_REQUESTS_PER_DAY',
    group: 'limits',
    kind: integer({ minimum: 0, maximum: 1_000_000_000_000 }),
    default: 0,
    defaultText: { en: '0: without limit', es: '0: sin límite' },
    help: {
      en: 'Requests to models that a user may send in a day (UTC); an admin can give a user another quota.',
      es: 'Peticiones a los modelos que un usuario puede enviar en un día (UTC); un administrador puede darle otra cuota.',
    },
  },
  userTokensPerDay: {
    env: 'USER_TOKENS_PER_DAY',
    group: 'limits',
    kind: integer({ minimum: 0, maximum: 1_000_000_000_000 }),
    default: 0,
    defaultText: { en: '0: without limit', es: '0: sin límite' },
    help: {
      en: 'Tokens, of prompts and answers, that a user may use in a day (UTC).',
      es: 'Tokens, de peticiones y respuestas, que un usuario puede gastar en un día (UTC).',
    },
  },
  keptBytesPerDay: {
    env: 'KEPT_BYTES_PER_DAY',
    group: 'limits',
    kind: byteSize,
    default: 4 * 1024 ** 3,
    defaultText: { en: '4G', es: '4G' },
    help: {
      en: 'What a user, or an address without an account, may hand in to be kept in a day (UTC): documents, conversations. 0: without limit.',
      es: 'Lo que un usuario, o una dirección sin cuenta, puede entregar para guardar en un día (UTC): documentos, conversaciones. 0: sin límite.',
    },
  },
  minFreeDisk: {
    env: 'MIN_FREE_DISK',
    group: 'limits',
    kind: byteSize,
    default: 256 * 1024 ** 2,
    defaultText: { en: '256M', es: '256M' },
    help: {
      en: 'Room that documents and conversations leave on the disk of DATA_DIR, at most a twentieth of it; with less, none are taken (507).',
      es: 'Espacio que documentos y conversaciones dejan en el disco de DATA_DIR, como mucho una vigésima parte; con menos no se aceptan (507).',
    },
  },
  cacheMaxEntries: {
    env: 'CACHE_MAX_ENTRIES',
    group: 'limits',
    kind: integer({ minimum: 0, maximum: 10_000_000 }),
    default: 1000,
    help: { en: 'Answers kept in the cache; 0 switches it off.', es: 'Respuestas que guarda la caché; 0 la desactiva.' },
  },
  cacheTtlSeconds: {
    env: 'CACHE_TTL_SECONDS',
    group: 'limits',
    kind: seconds,
    default: 3600,
    help: { en: 'How long an answer stays in the cache.', es: 'Cuánto tiempo sigue una respuesta en la caché.' },
  },
} as const satisfies Record<string, Setting>
