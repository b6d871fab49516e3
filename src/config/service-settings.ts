import { isIP } from 'node:net'
import { byteSize, integer, listOf, oneOf, type Text, text, yesOrNo } from './kinds.ts'
import type { Setting } from './setting.ts'

const port = integer({ minimum: 0, maximum: 65_535 })
const seconds = integer({ minimum: 1, maximum: 31_536_000 })
const none: Text = { en: 'none', es: 'ninguno' }

const origins = listOf(
  {
    en: 'origins such as http://localhost:5173, parted by commas',
    es: 'orígenes como http://localhost:5173, separados por comas',
  },
  (item) => URL.canParse(item) && new URL(item).origin === item,
)
const hostNames = listOf(
  {
    en: 'host names such as ai.example.com, parted by commas',
    es: 'nombres de máquina como ia.example.com, separados por comas',
  },
  (item) => URL.parse(`http://${item}`)?.hostname === item.toLowerCase(),
)
const proxies = listOf(
  {
    en: 'addresses or subnets such as 10.0.0.0/8, parted by commas',
    es: 'direcciones o subredes como 10.0.0.0/8, separadas por comas',
  },
  isAddressOrSubnet,
)
function isAddressOrSubnet(item: string): boolean {
  const [address = '', bits, ...rest] = item.split('/')
  const width = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  return width > 0 && rest.length === 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= width))
}

export const serviceSettings = {
  environment: {
    env: 'ENVIRONMENT',
    group: 'service',
    kind: oneOf('development', 'production'),
    default: 'development',
    help: {
      en: 'production demands a SECRET_KEY and marks cookies Secure.',
      es: 'production exige una SECRET_KEY y marca las cookies como Secure.',
    },
  },
  host: {
    env: 'HOST',
    group: 'service',
    kind: text({ pattern: /^[\w.:-]+$/, expected: { en: 'a host name or address', es: 'un nombre de máquina o una dirección' } }),
    default: '127.0.0.1',
    help: {
      en: 'Address to listen on. Any other than loopback demands a SECRET_KEY.',
      es: 'Dirección en la que escucha. Cualquiera que no sea la local exige una SECRET_KEY.',
    },
  },
  port: {
    env: 'PORT',
    group: 'service',
    kind: port,
    default: 8000,
    help: { en: 'Port of the API; 0 picks a free one.', es: 'Puerto de la API; 0 elige uno libre.' },
  },
  clientPort: {
    env: 'CLIENT_PORT',
    group: 'service',
    kind: port,
    default: 8001,
    help: { en: 'Port of the web client; 0 picks a free one.', es: 'Puerto del cliente web; 0 elige uno libre.' },
  },
  allowedHosts: {
    env: 'ALLOWED_HOSTS',
    group: 'service',
    kind: hostNames,
    default: [],
    defaultText: {
      en: 'loopback names; with another HOST also addresses and names of private networks',
      es: 'nombres locales; con otro HOST también direcciones y nombres de redes privadas',
    },
    help: {
      en: 'Names by which browsers reach the service, besides those of CORS_ORIGINS and what comes through TRUST_PROXY. Others are refused.',
      es: 'Nombres por los que los navegadores llegan al servicio, además de los de CORS_ORIGINS y lo que pasa por TRUST_PROXY. Otros se rechazan.',
    },
  },
  corsOrigins: {
    env: 'CORS_ORIGINS',
    group: 'service',
    kind: origins,
    default: [],
    defaultText: none,
    help: { en: 'Web pages of these origins may call the API.', es: 'Las páginas web de estos orígenes pueden llamar a la API.' },
  },
  trustProxy: {
    env: 'TRUST_PROXY',
    group: 'service',
    kind: proxies,
    default: [],
    defaultText: none,
    help: {
      en: 'Proxies whose X-Forwarded-For header is believed.',
      es: 'Proxies cuya cabecera X-Forwarded-For se cree.',
    },
  },
  shutdownGraceSeconds: {
    env: 'SHUTDOWN_GRACE_SECONDS',
    group: 'service',
    kind: integer({ minimum: 0, maximum: 3600 }),
    default: 10,
    help: {
      en: 'How long running answers may take to end when the service is stopped.',
      es: 'Cuánto tiempo tienen las respuestas en curso para terminar al parar el servicio.',
    },
  },
  shutdownDelaySeconds: {
    env: 'SHUTDOWN_DELAY_SECONDS',
    group: 'service',
    kind: integer({ minimum: 0, maximum: 600 }),
    default: 0,
    help: {
      en: 'How long a service that is told to stop goes on answering, while /health/ready says 503 already: until nothing more is sent to it.',
      es: 'Cuánto tiempo un servicio al que se pide parar sigue respondiendo, mientras /health/ready ya dice 503: hasta que no se le envíe nada más.',
    },
  },
  logLevel: {
    env: 'LOG_LEVEL',
    group: 'service',
    kind: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
    default: 'info',
    help: {
      en: 'The least important log lines that are written.',
      es: 'Las líneas de registro menos importantes que se escriben.',
    },
  },
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
  modelsDir: {
    env: 'MODELS_DIR',
    group: 'storage',
    kind: text(),
    default: 'model_llm',
    help: { en: 'Folder of the model files.', es: 'Carpeta de los archivos de modelos.' },
  },
  dataDir: {
    env: 'DATA_DIR',
    group: 'storage',
    kind: text(),
    default: 'data',
    help: { en: 'Folder of everything that the service writes.', es: 'Carpeta de todo lo que escribe el servicio.' },
  },
  configFile: {
    env: 'CONFIG_FILE',
    group: 'storage',
    kind: text(),
    default: 'config/config.json',
    help: {
      en: 'File of what can change while the service runs: the selected model and provider.',
      es: 'Archivo de lo que puede cambiar con el servicio en marcha: el modelo y el proveedor elegidos.',
    },
  },
  databaseUrl: {
    env: 'DATABASE_URL',
    group: 'storage',
    // Another address would become a folder of that name, with a password in it perhaps.
    kind: text({
      pattern: /^(?!(?!postgres(ql)?:)\w+:\/\/)/,
      expected: { en: 'the path of a file, or postgres://…', es: 'la ruta de un archivo, o postgres://…' },
    }),
    default: undefined,
    defaultText: { en: 'simpleia.db in DATA_DIR', es: 'simpleia.db en DATA_DIR' },
    secret: true,
    help: {
      en: 'Path of the SQLite file, or postgres://USER:PASSWORD@HOST/DATABASE (with pgvector), which many replicas can share.',
      es: 'Ruta del archivo SQLite, o postgres://USUARIO:CLAVE@HOST/BASE (con pgvector), que pueden compartir muchas réplicas.',
    },
  },
  redisUrl: {
    env: 'REDIS_URL',
    group: 'storage',
    kind: text({
      // The number of a database may follow, and nothing else: no rule about the connection comes by the address.
      pattern: /^rediss?:\/\/((%[\da-f]{2}|[^\s/?#@%])*@)?(\[[\da-f:.]+\]|[\w.-]+)(:\d{1,5})?(\/\d{0,5})?$/i,
      expected: {
        en: 'redis://USER:PASSWORD@HOST:PORT/NUMBER, or rediss://… for TLS',
        es: 'redis://USUARIO:CLAVE@MÁQUINA:PUERTO/NÚMERO, o rediss://… para TLS',
      },
    }),
    default: undefined,
    secret: true,
    help: {
      en: 'Redis or Valkey in which all replicas share rate limits, failed logins and cached answers. Without it each has its own.',
      es: 'Redis o Valkey donde todas las réplicas comparten límites, inicios de sesión fallidos y respuestas en caché. Sin él cada una tiene lo suyo.',
    },
  },
  storePredictions: {
    env: 'STORE_PREDICTIONS',
    group: 'storage',
    kind: yesOrNo,
    default: true,
    help: {
      en: 'Are answers remembered with their prompts, so that feedback can teach? Each user can switch it off for themselves.',
      es: '¿Se recuerdan las respuestas con sus peticiones, para aprender de las opiniones? Cada usuario puede desactivarlo para sí.',
    },
  },
  predictionRetentionDays: {
    env: 'PREDICTION_RETENTION_DAYS',
    group: 'storage',
    kind: integer({ minimum: 0, maximum: 36_500 }),
    default: 90,
    help: {
      en: 'How many days answers without feedback are remembered; 0: without end. Those with feedback stay until they are deleted.',
      es: 'Cuántos días se recuerdan las respuestas sin opinión; 0: sin fin. Las que tienen opinión siguen hasta que alguien las borre.',
    },
  },
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
