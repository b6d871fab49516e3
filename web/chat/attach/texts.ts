import type { Text } from '../../../src/config/kinds.ts'

/** Of files that go with a question. */
export const texts = {
  attach: { en: 'Attach files', es: 'Adjuntar archivos' },
  attached: { en: 'Attached files', es: 'Archivos adjuntos' },
  remove: { en: 'Remove “{name}”', es: 'Quitar «{name}»' },
  characters: { en: '{count} characters', es: '{count} caracteres' },
  reading: { en: 'Reading the files…', es: 'Leyendo los archivos…' },
  attachedNow: { en: 'Attached: {names}', es: 'Se adjuntó: {names}' },
  refused: { en: '“{name}” was not attached: {reason}', es: '«{name}» no se adjuntó: {reason}' },
  image: { en: 'it is an image, and images cannot be read here.', es: 'es una imagen, y aquí no se leen imágenes.' },
  media: { en: 'it is audio or video.', es: 'es audio o vídeo.' },
  packed: {
    en: 'it is an archive. Unpack it and attach its files.',
    es: 'es un archivo comprimido. Descomprímelo y adjunta su contenido.',
  },
  program: { en: 'it is a program.', es: 'es un programa.' },
  office: {
    en: 'this Office format cannot be read. Save it as DOCX, PDF or CSV.',
    es: 'este formato de Office no se puede leer. Guárdalo como DOCX, PDF o CSV.',
  },
  binary: { en: 'it holds no text.', es: 'no contiene texto.' },
  empty: { en: 'it is empty.', es: 'está vacío.' },
  'too-many': { en: 'there are too many files already.', es: 'ya hay demasiados archivos.' },
  unreadable: { en: 'the browser could not read it.', es: 'el navegador no pudo leerlo.' },
  documents: { en: 'Add to the documents?', es: '¿Añadir a los documentos?' },
  documentsHelp: {
    en: 'These are read as documents. Answers in this conversation then come from the collection that they are in, with their sources.',
    es: 'Estos se leen como documentos. Las respuestas de esta conversación saldrán entonces de la colección en la que estén, con sus fuentes.',
  },
  where: { en: 'Where to', es: 'Adónde' },
  newCollection: { en: 'A new collection', es: 'Una colección nueva' },
  collectionName: { en: 'Name of the collection', es: 'Nombre de la colección' },
  presentCollection: { en: 'One that is there', es: 'Una que ya existe' },
  usualName: { en: 'Documents', es: 'Documentos' },
  add: { en: 'Add', es: 'Añadir' },
  cancel: { en: 'Cancel', es: 'Cancelar' },
  done: { en: 'Done', es: 'Listo' },
} as const satisfies Readonly<Record<string, Text>>
