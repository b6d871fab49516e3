import { integer, text, yesOrNo } from './kinds.ts'
import type { Setting } from './setting.ts'

export const storageSettings = {
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
} as const satisfies Record<string, Setting>
