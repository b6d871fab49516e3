import type { Text } from '../config/kinds.ts'

/** What `doctor` says. A text that ends in `Fix` tells how to mend what the one before it found. */
export const doctorMessages = {
  node: { en: 'Node.js {version}', es: 'Node.js {version}' },
  nodeFix: {
    en: 'simpleIA needs Node.js {needed} or newer. Start it with ./run_llm.sh, which brings its own.',
    es: 'simpleIA necesita Node.js {needed} o posterior. Arráncalo con ./run_llm.sh, que trae el suyo.',
  },
  settings: { en: 'The settings are valid.', es: 'Los ajustes son válidos.' },
  settingsFix: {
    en: 'Mend them in .env, the environment or the flags; docs/settings.md explains each.',
    es: 'Corrígelos en .env, el entorno o las opciones; docs/settings.md los explica.',
  },
  library: { en: 'The package {name} is loaded.', es: 'El paquete {name} se carga.' },
  libraryMissing: { en: 'The package {name} cannot be loaded: {reason}', es: 'El paquete {name} no se puede cargar: {reason}' },
  libraryFix: {
    en: 'Remove the folder node_modules and start ./run_llm.sh again.',
    es: 'Borra la carpeta node_modules y arranca ./run_llm.sh otra vez.',
  },
  engine: { en: "The engine's library ({name}) is installed.", es: 'La biblioteca del motor ({name}) está instalada.' },
  engineMissing: {
    en: "The engine's library ({name}) is not installed.",
    es: 'La biblioteca del motor ({name}) no está instalada.',
  },
  engineMusl: { en: 'This Linux has no glibc.', es: 'Este Linux no tiene glibc.' },
  engineFix: {
    en: 'It exists for Linux with glibc, macOS and Windows, on x64 and arm64. There, remove the folder node_modules and start ./run_llm.sh again.',
    es: 'Existe para Linux con glibc, macOS y Windows, en x64 y arm64. Ahí, borra la carpeta node_modules y arranca ./run_llm.sh otra vez.',
  },
  cpu: { en: '{cores} cores, {features}', es: '{cores} núcleos, {features}' },
  cpuSlow: { en: '{cores} cores, without AVX2', es: '{cores} núcleos, sin AVX2' },
  cpuSlowFix: {
    en: 'Answers will be slow. On a virtual machine, let it see the processor of its host.',
    es: 'Las respuestas serán lentas. En una máquina virtual, deja que vea el procesador del anfitrión.',
  },
  gpu: { en: 'The libraries for the GPU ({name}) are installed.', es: 'Las bibliotecas para la GPU ({name}) están instaladas.' },
  gpuUnused: { en: 'There is a GPU, but no library for it.', es: 'Hay una GPU, pero ninguna biblioteca para ella.' },
  gpuUnusedFix: {
    en: 'Answers would be faster with: npm install {name}',
    es: 'Las respuestas serían más rápidas con: npm install {name}',
  },
  memory: {
    en: '{free} of memory free; the largest model has {needed}',
    es: '{free} de memoria libre; el modelo mayor tiene {needed}',
  },
  memoryFix: {
    en: 'Close other programs, or choose a smaller model with DEFAULT_MODEL.',
    es: 'Cierra otros programas o elige un modelo menor con DEFAULT_MODEL.',
  },
  disk: { en: '{free} free in {folder}', es: '{free} libres en {folder}' },
  diskFix: { en: 'Free some space, or set {env} to a larger disk.', es: 'Libera espacio o pon {env} en un disco mayor.' },
  folder: { en: 'The folder {folder} can be written.', es: 'La carpeta {folder} se puede escribir.' },
  folderBlocked: {
    en: 'The folder {folder} cannot be written: {reason}',
    es: 'La carpeta {folder} no se puede escribir: {reason}',
  },
  folderFix: {
    en: 'Give it to this user (chown), or set {env} to another folder.',
    es: 'Dásela a este usuario (chown) o pon {env} en otra carpeta.',
  },
  model: { en: 'Model {name}, {size}{checked}', es: 'Modelo {name}, {size}{checked}' },
  modelChecked: { en: ', checksum verified at its download', es: ', suma verificada al descargarlo' },
  modelDamaged: { en: 'Model {name} cannot be used: {problem}', es: 'El modelo {name} no se puede usar: {problem}' },
  modelDamagedFix: {
    en: 'Remove it, or download it again.',
    es: 'Bórralo o descárgalo otra vez.',
  },
  modelNone: { en: 'No model is installed in {folder}.', es: 'No hay ningún modelo instalado en {folder}.' },
  modelNoneFix: {
    en: '"./run_llm.sh all" downloads one; or put a GGUF file into that folder.',
    es: '"./run_llm.sh all" descarga uno; o pon un archivo GGUF en esa carpeta.',
  },
  modelNoneLocalFix: {
    en: 'LOCAL_ONLY forbids downloads: put a GGUF file into that folder.',
    es: 'LOCAL_ONLY prohíbe las descargas: pon un archivo GGUF en esa carpeta.',
  },
  localOnly: {
    en: 'LOCAL_ONLY is true: nothing leaves this machine (no cloud models, downloads or pages).',
    es: 'LOCAL_ONLY es true: nada sale de esta máquina (ni modelos en la nube, ni descargas, ni páginas).',
  },
  modelUnknown: { en: 'DEFAULT_MODEL is {name}, which is not installed.', es: 'DEFAULT_MODEL es {name}, que no está instalado.' },
  modelUnknownFix: { en: 'Set it to one of: {names}', es: 'Pon uno de estos: {names}' },
  key: { en: '{env} looks right.', es: '{env} tiene buen aspecto.' },
  keyOdd: { en: '{env} does not begin with {prefix}.', es: '{env} no empieza por {prefix}.' },
  keyOddFix: { en: 'Compare it with what its service shows.', es: 'Compárala con la que muestra su servicio.' },
  reason: { en: '{reason}', es: '{reason}' },
  database: { en: 'Database: {name}, its tables up to date', es: 'Base de datos: {name}, con las tablas al día' },
  databaseEmpty: {
    en: 'Database: {name}, without tables; the first start makes them',
    es: 'Base de datos: {name}, sin tablas; las crea el primer arranque',
  },
  databaseOlder: {
    en: 'Database: {name}, with the tables of an older version',
    es: 'Base de datos: {name}, con las tablas de una versión anterior',
  },
  databaseOlderFix: {
    en: 'The next start brings them up to date, which cannot be taken back. Have a backup that the older version wrote.',
    es: 'El próximo arranque las pone al día, y no hay vuelta atrás. Ten una copia hecha con la versión anterior.',
  },
  databaseNewer: {
    en: 'Database: {name}, with the tables of a newer version',
    es: 'Base de datos: {name}, con las tablas de una versión posterior',
  },
  databaseNewerFix: {
    en: 'Start that version, or restore a backup that this one wrote (docs/operations-backup.md).',
    es: 'Arranca esa versión o recupera una copia hecha con esta (docs/operations-backup.md, en inglés).',
  },
  databaseFix: {
    en: 'DATABASE_URL says which database; docs/operations-trouble.md tells more.',
    es: 'DATABASE_URL dice qué base es; docs/operations-trouble.md cuenta más (en inglés).',
  },
  clockAhead: {
    en: 'The clock of this machine is {seconds} s ahead of that of the database.',
    es: 'El reloj de esta máquina va {seconds} s por delante del de la base de datos.',
  },
  clockBehind: {
    en: 'The clock of this machine is {seconds} s behind that of the database.',
    es: 'El reloj de esta máquina va {seconds} s por detrás del de la base de datos.',
  },
  clockFix: {
    en: 'Let NTP set both clocks (timedatectl set-ntp true): the end of logins, days of quotas and retention go by them.',
    es: 'Deja que NTP ponga en hora los dos relojes (timedatectl set-ntp true): por ellos van el fin de las sesiones, los días de las cuotas y la conservación.',
  },
  connectionsFew: {
    en: 'The database has {left} connections left; a replica takes up to {needed}.',
    es: 'A la base de datos le quedan {left} conexiones; una réplica usa hasta {needed}.',
  },
  connectionsFewFix: {
    en: 'Raise max_connections of the server to 20 for each replica, or start fewer.',
    es: 'Sube max_connections del servidor a 20 por réplica, o arranca menos.',
  },
  redis: { en: 'Redis {version} answers.', es: 'Redis {version} responde.' },
  redisNoEviction: {
    en: 'Redis keeps everything until its memory is full, then refuses to write (maxmemory-policy noeviction).',
    es: 'Redis lo guarda todo hasta llenar su memoria y entonces no escribe (maxmemory-policy noeviction).',
  },
  redisNoEvictionFix: { en: 'Set maxmemory-policy volatile-lru.', es: 'Pon maxmemory-policy volatile-lru.' },
  redisFix: {
    en: 'The service runs without it, and each replica counts for itself. REDIS_URL says which one it is.',
    es: 'El servicio funciona sin él, y cada réplica cuenta por su lado. REDIS_URL dice cuál es.',
  },
  providers: {
    en: 'Providers besides this machine: {names} (not asked now)',
    es: 'Proveedores además de esta máquina: {names} (no se les pregunta ahora)',
  },
  providersWrong: { en: '{reason}', es: 'Un archivo de config/ está mal. {reason}' },
  providersFix: { en: 'docs/cloud.md shows a whole example.', es: 'docs/cloud.md muestra un ejemplo completo (en inglés).' },
  providerMissing: {
    en: 'The provider {name} is selected, but not configured.',
    es: 'El proveedor {name} está elegido, pero no configurado.',
  },
  providerMissingFix: {
    en: 'Set its key or address (docs/cloud.md), or select hf with LLM_PROVIDER or in config/config.json.',
    es: 'Pon su clave o dirección (docs/cloud.md), o elige hf con LLM_PROVIDER o en config/config.json.',
  },
  port: { en: 'Port {port} is free.', es: 'El puerto {port} está libre.' },
  portUsed: { en: 'Port {port} cannot be used: {reason}', es: 'El puerto {port} no se puede usar: {reason}' },
  portFix: { en: 'Choose another one with {env}.', es: 'Elige otro con {env}.' },
  service: { en: 'The service at {url} answers.', es: 'El servicio en {url} responde.' },
  serviceNotReady: {
    en: 'The service at {url} runs, but is not ready: {reason}',
    es: 'El servicio en {url} funciona, pero no está listo: {reason}',
  },
  serviceNotReadyFix: { en: 'Its log tells more.', es: 'Su registro dice más.' },
  serviceNone: { en: 'No service runs at {url}.', es: 'No hay servicio en {url}.' },
  serviceNoneFix: { en: '"./run_llm.sh all" starts it.', es: '"./run_llm.sh all" lo arranca.' },
  summary: { en: '{ok} right, {warn} to look at, {fail} wrong', es: '{ok} bien, {warn} por mirar, {fail} mal' },
} as const satisfies Record<string, Text>

export type DoctorMessage = keyof typeof doctorMessages
