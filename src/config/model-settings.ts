import { byteSize, duration, integer, oneOf, pairsOf, text, url, yesOrNo } from './kinds.ts'
import type { Setting } from './setting.ts'

export const modelSettings = {
  llmProvider: {
    env: 'LLM_PROVIDER',
    group: 'models',
    kind: oneOf('hf', 'claude', 'openai', 'custom'),
    default: 'hf',
    help: {
      en: 'Who answers until another one is selected: hf is this machine; the others need their key or address, and what is asked leaves this machine.',
      es: 'Quién responde hasta que se elija otro: hf es esta máquina; los demás necesitan su clave o dirección, y lo que se pregunta sale de esta máquina.',
    },
  },
  defaultModel: {
    env: 'DEFAULT_MODEL',
    group: 'models',
    kind: text(),
    default: undefined,
    defaultText: { en: 'the one in use last, else the first installed', es: 'el último en uso o, si no, el primero instalado' },
    help: {
      en: 'Name of the model, of the provider in LLM_PROVIDER, that answers until another one is selected.',
      es: 'Nombre del modelo, del proveedor de LLM_PROVIDER, que responde hasta que se elija otro.',
    },
  },
  embeddingModel: {
    env: 'EMBEDDING_MODEL',
    group: 'models',
    kind: text(),
    default: 'all-MiniLM-L6-v2',
    help: {
      en: 'Name of the embedding model where a request names none: an installed one, or owner/repository of the hub, which is downloaded at the start.',
      es: 'Nombre del modelo de embeddings cuando la petición no dice otro: uno instalado, o propietario/repositorio del sitio de modelos, que se descarga al arrancar.',
    },
  },
  device: {
    env: 'DEVICE',
    group: 'models',
    kind: oneOf('auto', 'cpu', 'cuda', 'metal', 'vulkan'),
    default: 'auto',
    help: { en: 'What the local model computes on.', es: 'Dónde calcula el modelo local.' },
  },
  threads: {
    env: 'THREADS',
    group: 'models',
    kind: integer({ minimum: 0, maximum: 512 }),
    default: 0,
    defaultText: { en: '0: as many as this machine has cores', es: '0: tantos como núcleos tiene la máquina' },
    help: { en: 'Threads of the local model.', es: 'Hilos del modelo local.' },
  },
  contextSize: {
    env: 'CONTEXT_SIZE',
    group: 'models',
    kind: integer({ minimum: 128, maximum: 1_048_576 }),
    default: undefined,
    defaultText: {
      en: 'what the model was trained for, at most 4096',
      es: 'aquello con lo que se entrenó el modelo, como mucho 4096',
    },
    help: { en: 'Prompt and answer together, in tokens.', es: 'Pregunta y respuesta juntas, en tokens.' },
  },
  kvCacheType: {
    env: 'KV_CACHE_TYPE',
    group: 'models',
    kind: oneOf('auto', 'f16', 'q8_0'),
    default: 'auto',
    help: {
      en: 'What the context is kept in: 16 bits, or 8 bits (half the memory, slower). auto: 8 bits when memory is short.',
      es: 'Cómo se guarda el contexto: en 16 bits, o en 8 (la mitad de memoria, más lento). auto: en 8 bits cuando falta memoria.',
    },
  },
  maxParallel: {
    env: 'MAX_PARALLEL',
    group: 'models',
    kind: integer({ minimum: 1, maximum: 32 }),
    default: 16,
    help: { en: 'Answers that the local model writes at the same time.', es: 'Respuestas que el modelo local escribe a la vez.' },
  },
  speculation: {
    env: 'SPECULATION',
    group: 'models',
    kind: yesOrNo,
    default: true,
    help: {
      en: 'Answers that repeat a passage are guessed from it, and checked several tokens at a time, where that is faster. The text stays the same.',
      es: 'Las respuestas que repiten un pasaje se adivinan a partir de él y se comprueban varios tokens a la vez, cuando así es más rápido. El texto es el mismo.',
    },
  },
  memoryBudget: {
    env: 'MEMORY_BUDGET',
    group: 'models',
    kind: byteSize,
    default: undefined,
    defaultText: {
      en: '70 % of what the machine has free at the start',
      es: 'el 70 % de lo que la máquina tenga libre al arrancar',
    },
    help: {
      en: 'Memory that loaded models may take together. The one that was unused for longest leaves when another needs the room.',
      es: 'Memoria que pueden ocupar juntos los modelos cargados. El que lleva más tiempo sin uso sale cuando otro necesita el sitio.',
    },
  },
  keepAliveSeconds: {
    env: 'KEEP_ALIVE',
    group: 'models',
    kind: duration,
    default: Number.POSITIVE_INFINITY,
    defaultText: { en: 'forever', es: 'forever (siempre)' },
    help: {
      en: 'How long an unused model stays in memory. The next request for it loads it again.',
      es: 'Cuánto tiempo sigue en memoria un modelo sin uso. La siguiente petición lo vuelve a cargar.',
    },
  },
  modelAliases: {
    env: 'MODEL_ALIASES',
    group: 'models',
    kind: pairsOf(
      { en: 'pairs such as fast=qwen3-0.6b-q8_0,gpt-4o=gemma-3-4b', es: 'pares como fast=qwen3-0.6b-q8_0,gpt-4o=gemma-3-4b' },
      /^[^\s=,][^=,]{0,254}$/,
    ),
    default: new Map<string, string>(),
    defaultText: { en: 'none', es: 'ninguno' },
    help: {
      en: 'Other names for models, for programs that insist on a name: ALIAS=MODEL, parted by commas.',
      es: 'Otros nombres para modelos, para programas que insisten en un nombre: ALIAS=MODELO, separados por comas.',
    },
  },
  localOnly: {
    env: 'LOCAL_ONLY',
    group: 'cloud',
    kind: yesOrNo,
    default: false,
    help: {
      en: 'Makes every call to the outside impossible, downloads of models too.',
      es: 'Impide toda llamada al exterior, también las descargas de modelos.',
    },
  },
  hfEndpoint: {
    env: 'HF_ENDPOINT',
    group: 'cloud',
    kind: url('https', 'http'),
    default: 'https://huggingface.co',
    help: { en: 'Hub that models are downloaded from.', es: 'Sitio del que se descargan los modelos.' },
  },
  hfToken: {
    env: 'HF_TOKEN',
    group: 'cloud',
    kind: text(),
    default: undefined,
    secret: true,
    help: { en: 'Token for the hub, for models that need one.', es: 'Token para el sitio de modelos, para los que lo piden.' },
  },
  anthropicApiKey: {
    env: 'ANTHROPIC_API_KEY',
    group: 'cloud',
    kind: text(),
    default: undefined,
    secret: true,
    help: {
      en: 'Key of the provider claude, which there is with it (docs/cloud.md).',
      es: 'Clave del proveedor claude, que existe con ella (docs/cloud.md).',
    },
  },
  openaiApiKey: {
    env: 'OPENAI_API_KEY',
    group: 'cloud',
    kind: text(),
    default: undefined,
    secret: true,
    help: { en: 'Key of the provider openai, which there is with it.', es: 'Clave del proveedor openai, que existe con ella.' },
  },
  customBaseUrl: {
    env: 'CUSTOM_BASE_URL',
    group: 'cloud',
    kind: url('https', 'http'),
    default: undefined,
    help: {
      en: 'Address of the provider custom, a server that speaks like OpenAI: http://127.0.0.1:11434/v1.',
      es: 'Dirección del proveedor custom, un servidor que habla como OpenAI: http://127.0.0.1:11434/v1.',
    },
  },
  customApiKey: {
    env: 'CUSTOM_API_KEY',
    group: 'cloud',
    kind: text(),
    default: undefined,
    secret: true,
    help: { en: 'Key of the provider custom, where it asks for one.', es: 'Clave del proveedor custom, si la pide.' },
  },
} as const satisfies Record<string, Setting>
