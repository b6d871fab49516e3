import type { Text } from '../config/kinds.ts'
import { backupCommands } from './backup-commands.ts'
import type { Context } from './context.ts'
import { datasetsCommands } from './datasets-commands.ts'
import { docsCommands } from './docs-commands.ts'
import { evaluateCommands } from './evaluate-commands.ts'
import { keysCommands } from './keys-commands.ts'
import { feedbackFlags, predictionsCommands } from './predictions-commands.ts'
import { rolloutCommands } from './rollout-commands.ts'
import { trainCommands } from './train-commands.ts'

export type CommandFlag = Readonly<{
  name: string
  help: Text
  /** What follows it, for the help; undefined for a flag without a value. */
  value?: string
}>

/** One command of the program. Its code is loaded when it is called, so that none waits for the others. */
export type Command = Readonly<{
  /** The words that call it. */
  path: readonly string[]
  /** Words that may follow, for the help; `[…]` ones may be missing, and of one that ends with `…` there may be several. */
  arguments: readonly string[]
  flags: readonly CommandFlag[]
  help: Text
  /** Its code reads the words after it itself, flags too: it has flags with values. */
  readsItself?: true
  /** Gives the exit code. */
  run: (context: Context) => Promise<number>
}>

const none = { arguments: [], flags: [] } as const
const json: CommandFlag = { name: 'json', help: { en: 'Writes JSON.', es: 'Escribe JSON.' } }
const jsonl: CommandFlag = {
  name: 'jsonl',
  help: { en: 'Writes one JSON object a line.', es: 'Escribe un objeto JSON por línea.' },
}
const quantizeFlags: readonly CommandFlag[] = [
  { name: 'name', value: 'NAME', help: { en: 'Name of the new model.', es: 'Nombre del modelo nuevo.' } },
  {
    name: 'text',
    value: 'FILE',
    help: { en: 'Text to measure it with.', es: 'Texto con el que medirlo.' },
  },
  {
    name: 'calibration',
    value: 'FILE',
    help: {
      en: 'Text like the prompts to come, for an importance matrix.',
      es: 'Texto como las peticiones que vendrán, para una matriz de importancia.',
    },
  },
  { name: 'no-report', help: { en: 'Does not measure the new model.', es: 'No mide el modelo nuevo.' } },
]
const quantizationFlag: CommandFlag = {
  name: 'quantization',
  value: 'NAME',
  help: { en: 'Of the new model; else that of the base.', es: 'Del modelo nuevo; si no, la del modelo base.' },
}
const register: CommandFlag = { name: 'register', help: { en: 'Opens the account first.', es: 'Abre antes la cuenta.' } }
const providerFlag: CommandFlag = {
  name: 'provider',
  value: 'NAME',
  help: {
    en: 'Who has the model: claude, openai, custom, or a name in providers.json. Alone: its usual model.',
    es: 'Quién tiene el modelo: claude, openai, custom o un nombre de providers.json. Solo: su modelo habitual.',
  },
}

const egressFlags: readonly CommandFlag[] = [
  { name: 'from', value: 'TIME', help: { en: 'Since this day or time.', es: 'Desde este día u hora.' } },
  { name: 'to', value: 'TIME', help: { en: 'Until this day or time.', es: 'Hasta este día u hora.' } },
  { name: 'user', value: 'USERNAME', help: { en: 'Only for this user.', es: 'Solo de este usuario.' } },
]

export const commands: readonly Command[] = [
  {
    ...none,
    path: ['all'],
    help: {
      en: 'Sets up what is missing, then runs the API and the web client.',
      es: 'Prepara lo que falte y arranca la API y el cliente web.',
    },
    run: async (context) => (await import('./serve.ts')).runAll(context),
  },
  {
    ...none,
    path: ['setup'],
    help: {
      en: 'Gets the models where there are none, then ends. For containers, where "api" runs after it.',
      es: 'Consigue los modelos si no hay ninguno y termina. Para contenedores, donde después arranca "api".',
    },
    run: async (context) => (await import('./serve.ts')).runSetup(context),
  },
  {
    ...none,
    path: ['api'],
    help: { en: 'Runs the API.', es: 'Arranca la API.' },
    run: async (context) => (await import('./serve.ts')).runApi(context),
  },
  {
    ...none,
    path: ['client'],
    help: { en: 'Runs the web client alone.', es: 'Arranca solo el cliente web.' },
    run: async (context) => (await import('./serve.ts')).runClient(context),
  },
  {
    ...none,
    path: ['line'],
    help: { en: 'Talks to the model in the terminal.', es: 'Habla con el modelo en la terminal.' },
    run: async (context) => (await import('./line.ts')).runLine(context),
  },
  {
    path: ['login'],
    arguments: ['[USERNAME]'],
    flags: [register],
    help: {
      en: 'Logs in and keeps the token for later commands.',
      es: 'Inicia sesión y guarda el token para las demás órdenes.',
    },
    run: async (context) => (await import('./login.ts')).runLogin(context),
  },
  {
    ...none,
    path: ['logout'],
    help: { en: 'Ends the login.', es: 'Cierra la sesión.' },
    run: async (context) => (await import('./login.ts')).runLogout(context),
  },
  {
    path: ['models', 'list'],
    arguments: [],
    flags: [json],
    help: { en: 'Lists the installed models.', es: 'Lista los modelos instalados.' },
    run: async (context) => (await import('./models.ts')).listModels(context),
  },
  {
    path: ['models', 'quantize'],
    arguments: ['MODEL', 'QUANTIZATION'],
    flags: [...quantizeFlags, json],
    help: {
      en: 'Makes a smaller model of an installed one, and measures both.',
      es: 'Hace un modelo más pequeño de uno instalado, y mide los dos.',
    },
    run: async (context) => (await import('./quantize.ts')).quantizeModel(context),
  },
  {
    path: ['models', 'merge'],
    arguments: ['BASE+ADAPTER', '[NAME]'],
    flags: [quantizationFlag, json],
    help: {
      en: 'Makes one model of an installed model and an adapter.',
      es: 'Hace un solo modelo de uno instalado y un adaptador.',
    },
    run: async (context) => (await import('./merge.ts')).mergeModel(context),
  },
  {
    path: ['models', 'report'],
    arguments: ['MODEL'],
    flags: [json],
    help: {
      en: 'Shows what was measured when the model was quantized.',
      es: 'Muestra lo que se midió al cuantizar el modelo.',
    },
    run: async (context) => (await import('./quantize.ts')).showModelReport(context),
  },
  {
    path: ['models', 'pull'],
    arguments: ['NAME'],
    flags: [],
    help: {
      en: 'Downloads a model of the hub: owner/repo, owner/repo:Q4_K_M or hf:owner/repo/file.gguf.',
      es: 'Descarga un modelo del sitio de modelos: owner/repo, owner/repo:Q4_K_M o hf:owner/repo/file.gguf.',
    },
    run: async (context) => (await import('./pull.ts')).pullModel(context),
  },
  {
    path: ['models', 'convert'],
    arguments: ['FOLDER', '[NAME]'],
    flags: [],
    help: {
      en: 'Makes a model of a checkpoint of safetensors (GGUF; for an embedding model ONNX too).',
      es: 'Hace un modelo de un checkpoint de safetensors (GGUF; de uno de embeddings, también ONNX).',
    },
    run: async (context) => (await import('./convert.ts')).convertModel(context),
  },
  {
    path: ['models', 'use'],
    arguments: ['[MODEL]'],
    flags: [providerFlag],
    help: {
      en: 'Selects what answers who names no model: a model of this machine, or with --provider one of another provider.',
      es: 'Elige qué responde cuando no se dice un modelo: uno de esta máquina o, con --provider, uno de otro proveedor.',
    },
    run: async (context) => (await import('./providers.ts')).useModel(context),
  },
  {
    path: ['models', 'providers'],
    arguments: [],
    flags: [json],
    help: {
      en: 'Lists who can answer: this machine, and the providers that are configured.',
      es: 'Lista quién puede responder: esta máquina y los proveedores configurados.',
    },
    run: async (context) => (await import('./providers.ts')).listProviders(context),
  },
  {
    path: ['models', 'load'],
    arguments: ['NAME'],
    flags: [],
    help: { en: 'Brings a model of the running service into memory.', es: 'Carga en memoria un modelo del servicio en marcha.' },
    run: async (context) => (await import('./models.ts')).changeLoaded(context, 'load'),
  },
  {
    path: ['models', 'unload'],
    arguments: ['NAME'],
    flags: [],
    help: {
      en: 'Takes a model of the running service out of memory, once nobody uses it.',
      es: 'Saca de la memoria un modelo del servicio en marcha, cuando nadie lo usa.',
    },
    run: async (context) => (await import('./models.ts')).changeLoaded(context, 'unload'),
  },
  {
    path: ['models', 'show'],
    arguments: ['NAME'],
    flags: [json],
    help: { en: 'Shows what is known of an installed model.', es: 'Muestra lo que se sabe de un modelo instalado.' },
    run: async (context) => (await import('./models.ts')).showModel(context),
  },
  {
    path: ['models', 'remove'],
    arguments: ['NAME'],
    flags: [],
    help: { en: 'Removes an installed model.', es: 'Borra un modelo instalado.' },
    run: async (context) => (await import('./models.ts')).removeInstalled(context),
  },
  ...docsCommands,
  ...datasetsCommands,
  ...trainCommands,
  ...evaluateCommands,
  ...keysCommands,
  ...predictionsCommands,
  ...rolloutCommands,
  {
    path: ['admin', 'users', 'list'],
    arguments: [],
    flags: [json],
    help: { en: 'Lists the users.', es: 'Lista los usuarios.' },
    run: async (context) => (await import('./admin.ts')).listUsers(context),
  },
  {
    path: ['admin', 'users', 'add'],
    arguments: ['USERNAME'],
    flags: [],
    help: {
      en: 'Opens an account for somebody; asks for its password.',
      es: 'Abre una cuenta para alguien; pide su contraseña.',
    },
    run: async (context) => (await import('./admin.ts')).addUser(context),
  },
  {
    path: ['admin', 'users', 'role'],
    arguments: ['USERNAME', 'admin|user'],
    flags: [],
    help: { en: 'Changes the role of a user.', es: 'Cambia el rol de un usuario.' },
    run: async (context) => (await import('./admin.ts')).changeRole(context),
  },
  {
    path: ['admin', 'users', 'delete'],
    arguments: ['USERNAME'],
    flags: [],
    help: { en: 'Deletes a user.', es: 'Borra un usuario.' },
    run: async (context) => (await import('./admin.ts')).deleteUser(context),
  },
  {
    path: ['admin', 'users', 'password'],
    arguments: ['USERNAME'],
    flags: [],
    help: {
      en: 'Sets a forgotten password, in the database itself; asks for it.',
      es: 'Pone otra contraseña si se olvidó, en la propia base de datos; la pide.',
    },
    run: async (context) => (await import('./reset-password.ts')).resetPassword(context),
  },
  {
    path: ['admin', 'users', 'logout'],
    arguments: ['USERNAME'],
    flags: [],
    help: { en: 'Logs a user out everywhere.', es: 'Cierra todas las sesiones de un usuario.' },
    run: async (context) => (await import('./admin.ts')).logUserOut(context),
  },
  {
    path: ['admin', 'feedback'],
    arguments: [],
    flags: [...feedbackFlags, jsonl],
    help: {
      en: 'Shows the feedback, newest first: ratings, corrections, pairs, tags.',
      es: 'Muestra las opiniones, las más nuevas primero: notas, correcciones, parejas, etiquetas.',
    },
    run: async (context) => (await import('./feedback.ts')).showFeedback(context),
  },
  {
    path: ['admin', 'egress'],
    arguments: [],
    flags: [...egressFlags, json],
    help: {
      en: 'Shows what left this machine: when, to whom, for whom, how many bytes, at what cost.',
      es: 'Muestra lo que salió de esta máquina: cuándo, a quién, para quién, cuántos bytes, a qué coste.',
    },
    run: async (context) => (await import('./egress.ts')).showEgress(context),
  },
  {
    ...none,
    path: ['admin', 'reload'],
    help: {
      en: 'Makes the service read config.json, providers.json and prices.json in config/ again.',
      es: 'Hace que el servicio lea de nuevo config.json, providers.json y prices.json de config/.',
    },
    run: async (context) => (await import('./admin.ts')).reload(context),
  },
  ...backupCommands,
  {
    path: ['doctor'],
    arguments: [],
    flags: [json],
    help: {
      en: 'Says what is wrong with this machine, and how to mend it.',
      es: 'Dice qué le pasa a esta máquina y cómo arreglarlo.',
    },
    run: async (context) => (await import('./doctor.ts')).runDoctor(context),
  },
  {
    ...none,
    path: ['bench'],
    help: {
      en: 'Measures this service beside others on this machine (bench --help).',
      es: 'Mide este servicio junto a otros en esta máquina (bench --help).',
    },
    readsItself: true,
    run: async (context) => (await import('./bench.ts')).runBenchCommand(context),
  },
  {
    arguments: [],
    flags: [{ name: 'prepare', help: { en: 'Only gets what they need.', es: 'Solo prepara lo que necesitan.' } }],
    path: ['test'],
    help: {
      en: 'Gets what the tests need, then runs them all.',
      es: 'Prepara lo que necesitan las pruebas y las ejecuta todas.',
    },
    run: async (context) => (await import('./test.ts')).runTests(context),
  },
]

/** Words that stand for longer ones: `admin users` lists the users. */
export const shortcuts: Readonly<Record<string, readonly string[]>> = {
  'admin users': ['admin', 'users', 'list'],
  'admin keys': ['admin', 'keys', 'list'],
  keys: ['keys', 'list'],
  predictions: ['predictions', 'list'],
  models: ['models', 'list'],
  docs: ['docs', 'list'],
  datasets: ['datasets', 'list'],
  train: ['train', 'list'],
  rollout: ['rollout', 'show'],
}
