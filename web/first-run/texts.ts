import type { Text } from '../../src/config/kinds.ts'

export const texts = {
  welcome: { en: 'Welcome to simpleIA', es: 'Te damos la bienvenida' },
  lead: {
    en: 'An assistant of your own. Make the first account: it is the admin’s.',
    es: 'Un asistente que es tuyo. Crea la primera cuenta: será la del administrador.',
  },
  where: { en: 'What runs where', es: 'Qué funciona dónde' },
  here: {
    en: 'The model, your conversations and your documents are on this machine.',
    es: 'El modelo, tus conversaciones y tus documentos están en esta máquina.',
  },
  leaves: {
    en: 'Something leaves it only when you choose so: a model in the cloud, or a download. A ledger lists each time.',
    es: 'Algo sale de ella solo si tú lo eliges: un modelo en la nube o una descarga. Un registro anota cada salida.',
  },
  admin: {
    en: 'The admin adds models, sees how the service does, and opens accounts for others.',
    es: 'El administrador añade modelos, ve cómo va el servicio y abre cuentas a los demás.',
  },
  accountTitle: { en: 'Admin account', es: 'Cuenta del administrador' },
  username: { en: 'Username', es: 'Nombre de usuario' },
  password: { en: 'Password', es: 'Contraseña' },
  passwordHint: {
    en: 'At least 8 characters. It cannot be sent to you again, so keep it well.',
    es: 'Al menos 8 caracteres. No se te puede volver a enviar, así que guárdala bien.',
  },
  again: { en: 'Password once more', es: 'La contraseña otra vez' },
  differs: { en: 'The two passwords are not the same.', es: 'Las dos contraseñas no son iguales.' },
  create: { en: 'Create the account', es: 'Crear la cuenta' },
  taken: {
    en: 'Somebody has made an account in the meantime. Sign in, or ask them for one.',
    es: 'Alguien ha creado una cuenta entretanto. Entra, o pídele una.',
  },
  goOn: { en: 'Go on', es: 'Continuar' },
  lookAround: { en: 'Look around first', es: 'Echar un vistazo antes' },
  missing: {
    en: 'No chat model is installed yet, so nothing can answer.',
    es: 'Aún no hay ningún modelo de chat instalado, así que nada puede responder.',
  },
  missingNext: {
    en: 'Once you have the account, the Models page downloads one.',
    es: 'Cuando tengas la cuenta, la página Modelos descarga uno.',
  },
  failed: {
    en: 'The model could not be loaded, so nothing can answer.',
    es: 'No se pudo cargar el modelo, así que nada puede responder.',
  },
  failedNext: {
    en: 'Once you have the account, the Models page says why, and lets you choose another.',
    es: 'Cuando tengas la cuenta, la página Modelos dice por qué, y deja elegir otro.',
  },
  toModels: { en: 'Open Models', es: 'Abrir Modelos' },

  tour: { en: 'First steps', es: 'Primeros pasos' },
  asked: { en: 'Ask something', es: 'Pregunta algo' },
  askedHow: { en: 'Write a question in the chat and send it.', es: 'Escribe una pregunta en el chat y envíala.' },
  added: { en: 'Add a document', es: 'Añade un documento' },
  addedHow: {
    en: 'Drop a file on the Documents page: answers can then name their sources.',
    es: 'Suelta un archivo en la página Documentos: así las respuestas pueden citar sus fuentes.',
  },
  rated: { en: 'Give feedback', es: 'Da tu opinión' },
  ratedHow: {
    en: 'Press a thumb under an answer: it is what a model can learn from.',
    es: 'Pulsa un pulgar bajo una respuesta: de eso puede aprender un modelo.',
  },
  isDone: { en: 'done', es: 'hecho' },
  nextIs: { en: 'Done. Next: {step}.', es: 'Hecho. Ahora: {step}.' },
  takeMe: { en: 'Take me there', es: 'Llévame' },
  skip: { en: 'Skip the tour', es: 'Saltar el recorrido' },
  finished: {
    en: 'That was all. You can begin the tour again below your name.',
    es: 'Eso era todo. Puedes repetir el recorrido bajo tu nombre.',
  },
  close: { en: 'Close', es: 'Cerrar' },
} as const satisfies Readonly<Record<string, Text>>
