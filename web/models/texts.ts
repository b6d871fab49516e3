import type { Text } from '../../src/config/kinds.ts'

export const texts = {
  title: { en: 'Models', es: 'Modelos' },
  lead: {
    en: 'They run on this machine. What you ask them stays here.',
    es: 'Funcionan en esta máquina. Lo que les preguntas no sale de aquí.',
  },
  stale: { en: 'What you see is what was read last.', es: 'Lo que ves es lo último que se pudo leer.' },
  cancel: { en: 'Cancel', es: 'Cancelar' },
  hide: { en: 'Hide', es: 'Ocultar' },
  about: { en: 'about {value}', es: 'unos {value}' },

  memory: { en: 'Memory', es: 'Memoria' },
  memoryUse: { en: '{used} of {budget} in use', es: '{used} de {budget} en uso' },
  memoryFree: { en: 'free', es: 'libre' },
  memoryHint: {
    en: 'Models are loaded when somebody asks them, and the one unused for longest makes room.',
    es: 'Un modelo se carga cuando alguien le pregunta; si falta sitio, sale el que lleva más tiempo sin usarse.',
  },

  loadingModel: { en: '{name} is being loaded', es: 'Se está cargando {name}' },

  add: { en: 'Add a model', es: 'Añadir un modelo' },
  hubName: { en: 'Name on the Hugging Face hub', es: 'Nombre en Hugging Face' },
  hubHint: {
    en: 'owner/repository, with :Q4_K_M for one quantization. Without it, the best one that fits into memory is downloaded.',
    es: 'propietario/repositorio, con :Q4_K_M para elegir la cuantización. Sin ella se descarga la mejor que quepa en la memoria.',
  },
  leaves: {
    en: 'The name leaves this machine: the hub is asked for it. Your conversations and documents do not.',
    es: 'El nombre sale de esta máquina, porque se le pide a Hugging Face. Tus conversaciones y documentos, no.',
  },
  closed: {
    en: 'Downloads are closed: LOCAL_ONLY is set, so nothing may leave this machine. A model file (GGUF) can be put into the models folder by hand.',
    es: 'Las descargas están cerradas: con LOCAL_ONLY nada puede salir de esta máquina. Puedes poner a mano un archivo de modelo (GGUF) en la carpeta de modelos.',
  },
  download: { en: 'Download', es: 'Descargar' },
  suggested: { en: 'Good ones to begin with', es: 'Buenos para empezar' },
  suggest: { en: 'Download {name} {about}', es: 'Descargar {name} {about}' },
  small: { en: 'small and quick', es: 'pequeño y rápido' },
  better: { en: 'answers better, wants more memory', es: 'responde mejor, pide más memoria' },
  search: { en: 'finds passages in documents', es: 'encuentra fragmentos en documentos' },
  spaces: { en: 'A name has no spaces.', es: 'Un nombre no lleva espacios.' },
  owner: {
    en: 'The owner is missing: owner/repository, for example Qwen/Qwen3-0.6B-GGUF.',
    es: 'Falta el propietario: propietario/repositorio, por ejemplo Qwen/Qwen3-0.6B-GGUF.',
  },
  manySlashes: {
    en: 'One slash: owner/repository. A single file is written hf:owner/repository/file.gguf.',
    es: 'Una sola barra: propietario/repositorio. Un archivo suelto se escribe hf:propietario/repositorio/archivo.gguf.',
  },
  file: {
    en: 'A single file is written with hf: before it: hf:owner/repository/file.gguf.',
    es: 'Un archivo suelto lleva hf: delante: hf:propietario/repositorio/archivo.gguf.',
  },
  tag: {
    en: 'After the colon comes one quantization, for example :Q4_K_M.',
    es: 'Tras los dos puntos va una cuantización, por ejemplo :Q4_K_M.',
  },
  letters: {
    en: 'Names of the hub have letters, digits, -, _ and dots, and begin and end with a letter or digit.',
    es: 'Los nombres de Hugging Face llevan letras, cifras, -, _ y puntos, y empiezan y acaban en letra o cifra.',
  },

  pulls: { en: 'Downloads', es: 'Descargas' },
  starting: { en: 'Asking the hub…', es: 'Preguntando a Hugging Face…' },
  waiting: {
    en: 'Waiting: the same is being downloaded elsewhere.',
    es: 'Esperando: lo mismo se está descargando en otra parte.',
  },
  downloading: { en: 'Downloading', es: 'Descargando' },
  retrying: { en: 'The connection broke; trying again.', es: 'Se cortó la conexión; se intenta de nuevo.' },
  checking: { en: 'Comparing the checksum…', es: 'Comparando la suma de comprobación…' },
  converting: { en: 'Converting into a model…', es: 'Convirtiendo en modelo…' },
  received: { en: '{done} of {total}', es: '{done} de {total}' },
  perSecond: { en: '{speed} per second', es: '{speed} por segundo' },
  left: { en: '{time} left', es: 'faltan {time}' },
  stop: { en: 'Stop', es: 'Detener' },
  stopPull: { en: 'Stop the download of {name}', es: 'Detener la descarga de {name}' },
  stopHint: {
    en: 'What has arrived is kept; a later download goes on from there.',
    es: 'Lo que ha llegado se guarda; otra descarga sigue desde ahí.',
  },
  pullDone: { en: 'Installed as {name}.', es: 'Instalado como {name}.' },
  pullStopped: {
    en: 'Stopped. What has arrived is kept.',
    es: 'Detenida. Lo que ha llegado se guarda.',
  },
  pullFailed: { en: 'Not installed.', es: 'No se instaló.' },
  pullNotFound: {
    en: 'The hub has no such model, or it needs a licence to be accepted (HF_TOKEN).',
    es: 'Hugging Face no tiene ese modelo, o hay que aceptar su licencia (HF_TOKEN).',
  },
  pullBusy: {
    en: 'Enough downloads run already. Wait for one, or stop one.',
    es: 'Ya hay bastantes descargas. Espera a que acabe una, o detén una.',
  },
  goOn: { en: 'Go on', es: 'Continuar' },
  goOnPull: { en: 'Go on with the download of {name}', es: 'Continuar la descarga de {name}' },

  chat: { en: 'Chat models', es: 'Modelos de chat' },
  noChat: {
    en: 'No chat model is installed, so nothing can answer yet.',
    es: 'No hay ningún modelo de chat instalado, así que nada puede responder todavía.',
  },
  noChatAdmin: {
    en: 'Download one above; the small one is there in minutes.',
    es: 'Descarga uno arriba; el pequeño llega en minutos.',
  },
  noChatUser: { en: 'An admin can add one here.', es: 'Un administrador puede añadir uno aquí.' },
  searchModels: { en: 'Embedding models and rerankers', es: 'Modelos de embeddings y reordenación' },
  searchHint: {
    en: 'They find passages in documents, and are loaded when they are needed.',
    es: 'Encuentran fragmentos en los documentos, y se cargan cuando hacen falta.',
  },
  others: { en: 'Other files', es: 'Otros archivos' },
  embedding: { en: 'embeddings', es: 'embeddings' },
  reranker: { en: 'reranker', es: 'reordenador' },
  adapter: { en: 'adapter without its base', es: 'adaptador sin su base' },
  projector: { en: 'part of another model', es: 'parte de otro modelo' },
  unknown: { en: 'cannot be read', es: 'no se puede leer' },

  selected: { en: 'answers by default', es: 'responde por defecto' },
  unloaded: {
    en: 'Not in memory; loaded when somebody asks it.',
    es: 'No está en memoria; se carga cuando alguien le pregunta.',
  },
  isLoading: { en: 'Loading…', es: 'Cargando…' },
  failed: { en: 'Cannot be used.', es: 'No se puede usar.' },
  ready: { en: 'In memory since {time}, {memory}.', es: 'En memoria desde {time}, {memory}.' },
  readyNow: { en: 'In memory, {memory}.', es: 'En memoria, {memory}.' },
  activity: { en: '{active} answers being written, {queued} waiting.', es: '{active} respuestas en marcha, {queued} en espera.' },
  lastUsed: { en: 'Last used {time}.', es: 'Último uso: {time}.' },
  alsoCalled: { en: 'also called {names}', es: 'también {names}' },
  parameters: { en: '{value} parameters', es: '{value} de parámetros' },
  sizeOf: { en: '{size} on disk', es: '{size} en disco' },
  context: { en: 'trained for {value} tokens', es: 'entrenado para {value} tokens' },
  needs: { en: 'takes about {size} of memory', es: 'ocupa unos {size} de memoria' },

  select: { en: 'Use for everybody', es: 'Usar para todos' },
  load: { en: 'Load', es: 'Cargar' },
  unload: { en: 'Take out of memory', es: 'Sacar de la memoria' },
  quantize: { en: 'Quantize…', es: 'Cuantizar…' },
  report: { en: 'Quality report', es: 'Informe de calidad' },
  merge: { en: 'Merge…', es: 'Fusionar…' },
  remove: { en: 'Delete…', es: 'Eliminar…' },
  ofModel: { en: '{action} {name}', es: '{action} {name}' },
  selecting: { en: 'Loading, then switching…', es: 'Cargando para cambiar a él…' },
  unloading: { en: 'Waiting until nobody uses it…', es: 'Esperando a que nadie lo use…' },
  didSelect: { en: '{name} answers by default now.', es: 'Ahora responde {name} por defecto.' },
  didLoad: { en: '{name} is in memory.', es: '{name} está en memoria.' },
  didUnload: { en: '{name} is out of memory.', es: '{name} ya no está en memoria.' },
  loadInvalid: {
    en: 'It cannot be loaded. The model that answered before goes on.',
    es: 'No se puede cargar. Sigue respondiendo el de antes.',
  },

  adapters: { en: 'Adapters', es: 'Adaptadores' },
  trainedFrom: { en: 'trained here, in the run {run}', es: 'entrenado aquí, en {run}' },

  removeTitle: { en: 'Delete {name}?', es: '¿Eliminar {name}?' },
  removeWhat: {
    en: 'Its files go from the disk: {size}, with their quality report if there is one. This cannot be undone; what came from the hub can be downloaded again.',
    es: 'Se eliminan sus archivos del disco: {size}, con su informe de calidad si lo hay. No se puede deshacer; lo que vino de Hugging Face se puede volver a descargar.',
  },
  removeUnknownSize: {
    en: 'Its files go from the disk. This cannot be undone.',
    es: 'Se eliminan sus archivos del disco. No se puede deshacer.',
  },
  removeAdapter: {
    en: 'The adapter goes from the disk. Its base model stays. This cannot be undone; a training run would have to make it again.',
    es: 'Se elimina el adaptador del disco. Su modelo base se queda. No se puede deshacer; habría que entrenarlo de nuevo.',
  },
  removeAdaptersStay: {
    en: 'These adapters stay on the disk, but need it to answer: {names}.',
    es: 'Estos adaptadores se quedan en el disco, pero lo necesitan para responder: {names}.',
  },
  removeNow: { en: 'Delete', es: 'Eliminar' },
  removed: { en: '{name} was deleted.', es: 'Se eliminó {name}.' },
  inUse: {
    en: 'It is in use. Take it out of memory, or wait until it has answered or been measured, and try again.',
    es: 'Está en uso. Sácalo de la memoria, o espera a que responda o acabe su medición, e inténtalo de nuevo.',
  },

  inUseSelected: {
    en: 'It answers by default. Use another one for everybody first, then try again.',
    es: 'Responde por defecto. Usa antes otro para todos e inténtalo de nuevo.',
  },

  quantizeTitle: { en: 'Make a smaller model of {name}', es: 'Hacer un modelo más pequeño de {name}' },
  quantizeLead: {
    en: 'A quantized model keeps its weights in fewer bits: it takes less disk and memory, and loses something. The original stays.',
    es: 'Un modelo cuantizado guarda sus pesos en menos bits: ocupa menos disco y memoria, y pierde algo. El original se queda.',
  },
  quantization: { en: 'Quantization', es: 'Cuantización' },
  choice: { en: '{name}: about {size}', es: '{name}: unos {size}' },
  choiceUsual: { en: '{name}: about {size} (the usual choice)', es: '{name}: unos {size} (lo habitual)' },
  choiceText: { en: '{name}: about {size}, needs a sample text', es: '{name}: unos {size}, necesita un texto de muestra' },
  bits: { en: '{value} bits a weight', es: '{value} bits por peso' },
  sizeHint: {
    en: 'The original takes {size}. Small models come out larger than told, as their vocabulary keeps more bits.',
    es: 'El original ocupa {size}. Los modelos pequeños salen más grandes de lo dicho, porque su vocabulario guarda más bits.',
  },
  isLarger: {
    en: 'This makes the file larger, not better: what one quantization has lost, the next does not find again.',
    es: 'Así el archivo crece, pero no mejora: lo que una cuantización ha perdido no lo recupera la siguiente.',
  },
  newName: { en: 'Name of the new model (optional)', es: 'Nombre del modelo nuevo (opcional)' },
  measureToo: { en: 'Measure afterwards how much it has lost', es: 'Medir después cuánto ha perdido' },
  sample: { en: 'Sample text', es: 'Texto de muestra' },
  sampleHint: {
    en: 'Text like what the model will be asked: the weights that matter for it are kept more exactly. A few thousand words are enough.',
    es: 'Texto como el que recibirá el modelo: los pesos que le importan se guardan con más exactitud. Bastan unos miles de palabras.',
  },
  start: { en: 'Start', es: 'Empezar' },
  mergeTitle: { en: 'Make one model of {name}', es: 'Hacer un solo modelo de {name}' },
  mergeLead: {
    en: 'Base and adapter become one model that needs neither. Both stay as they are.',
    es: 'La base y el adaptador pasan a ser un solo modelo, que no necesita a ninguno. Los dos se quedan como están.',
  },
  asBase: { en: 'As its base', es: 'Como su base' },

  jobQuantize: { en: 'Quantizing {name}', es: 'Cuantizando {name}' },
  jobMerge: { en: 'Merging {name}', es: 'Fusionando {name}' },
  stageStarting: { en: 'Starting…', es: 'Empezando…' },
  stageCalibrate: {
    en: 'Reading the sample text: {done} of {total} pieces',
    es: 'Leyendo el texto de muestra: {done} de {total} partes',
  },
  stageMerge: { en: 'Adding the adapter: {done} of {total} tensors', es: 'Sumando el adaptador: {done} de {total} tensores' },
  stageTensor: { en: 'Writing: {done} of {total} tensors', es: 'Escribiendo: {done} de {total} tensores' },
  stageMeasure: {
    en: 'Measuring both models: {done} of {total} pieces of text',
    es: 'Midiendo los dos modelos: {done} de {total} partes del texto',
  },
  jobHint: {
    en: 'It goes on while you look at other pages. Closing this window stops it.',
    es: 'Sigue mientras miras otras páginas. Cerrar esta ventana lo detiene.',
  },
  makings: { en: 'Being made elsewhere', es: 'Se están haciendo en otra parte' },
  makingRuns: { en: 'under way.', es: 'en marcha.' },
  makingHint: {
    en: 'Begun in another window, by another admin or by a command. Stopping one stops it for whoever began it.',
    es: 'Los empezó otra ventana, otro administrador o un comando. Detener uno lo detiene también para quien lo empezó.',
  },
  makingDone: { en: '{name} is there.', es: 'Ya está {name}.' },
  stopMaking: { en: 'Stop the work on {name}', es: 'Detener el trabajo con {name}' },
  stopJob: { en: 'Stop the work', es: 'Detener el trabajo' },
  jobMade: { en: '{name} is there: {size}.', es: 'Ya está {name}: {size}.' },
  jobFallback: {
    en: '{count} tensors have a shape that this quantization does not allow; they are larger.',
    es: '{count} tensores tienen una forma que esta cuantización no permite; ocupan más.',
  },
  jobStopped: { en: 'Stopped.', es: 'Detenido.' },
  jobFailed: { en: 'The model was not made.', es: 'No se hizo el modelo.' },
  jobBusy: {
    en: 'Another model is being made. Try again when it is done.',
    es: 'Se está haciendo otro modelo. Inténtalo de nuevo cuando acabe.',
  },
  jobConflict: {
    en: 'There is a model of that name already, or one is being made just now.',
    es: 'Ya hay un modelo con ese nombre, o se está haciendo ahora mismo.',
  },
  unmeasured: { en: 'It could not be measured.', es: 'No se pudo medir.' },

  reportTitle: { en: 'Quality of {name}', es: 'Calidad de {name}' },
  noReport: {
    en: 'It was not measured: only models that were quantized here have a report.',
    es: 'No se midió: solo tienen informe los modelos que se cuantizaron aquí.',
  },
  same: {
    en: 'As good as the original: nobody will notice the difference.',
    es: 'Tan bueno como el original: nadie notará la diferencia.',
  },
  smallLoss: {
    en: 'Very near the original: a difference is hard to notice.',
    es: 'Muy cerca del original: cuesta notar la diferencia.',
  },
  noticeable: {
    en: 'It has lost something: some answers will be worse than the original’s.',
    es: 'Ha perdido algo: algunas respuestas serán peores que las del original.',
  },
  changed: {
    en: 'It has changed a lot. A quantization with more bits, or a sample text, would keep more.',
    es: 'Ha cambiado mucho. Una cuantización con más bits, o un texto de muestra, conservaría más.',
  },
  smaller: { en: '{times} times smaller.', es: '{times} veces más pequeño.' },
  faster: { en: '{times} times as fast.', es: '{times} veces su velocidad.' },
  asFast: { en: 'As fast as the original.', es: 'Tan rápido como el original.' },
  agreement: {
    en: 'In {share} of the places both would say the same word next.',
    es: 'En el {share} de los casos los dos dirían la misma palabra a continuación.',
  },
  figure: { en: 'Figure', es: 'Dato' },
  original: { en: 'Original', es: 'Original' },
  result: { en: 'This model', es: 'Este modelo' },
  size: { en: 'Size', es: 'Tamaño' },
  bitsFigure: { en: 'Bits a weight', es: 'Bits por peso' },
  perplexity: { en: 'Perplexity (less is better)', es: 'Perplejidad (menos es mejor)' },
  speed: { en: 'Tokens per second, on the CPU', es: 'Tokens por segundo, en la CPU' },
  divergence: { en: 'KL divergence (0 is the same)', es: 'Divergencia KL (0 es igual)' },
  top: { en: 'Same likeliest token', es: 'Mismo token más probable' },
  measuredOn: {
    en: 'Measured on {time} with {tokens} tokens {text}.',
    es: 'Medido el {time} con {tokens} tokens {text}.',
  },
  ownText: { en: 'of a text of your own', es: 'de un texto propio' },
  builtInText: { en: 'of the built-in text', es: 'del texto incluido' },
  withMatrix: { en: 'Made with a sample text.', es: 'Hecho con un texto de muestra.' },
} as const satisfies Readonly<Record<string, Text>>
