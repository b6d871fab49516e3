import type { Text } from '../config/kinds.ts'
import { speaker } from './language.ts'

/** What the `docs` commands say. Where a text has a place such as {name}, both languages have it. */
export const docsMessages = {
  reading: { en: 'Sending and reading {name}', es: 'Enviando y leyendo {name}' },
  splitting: { en: 'Splitting {name}', es: 'Dividiendo {name}' },
  embedding: { en: 'Vectors of {name}: {done} of {total}', es: 'Vectores de {name}: {done} de {total}' },
  added: { en: '{name}: added, {passages} passages', es: '{name}: añadido, {passages} fragmentos' },
  replaced: { en: '{name}: replaced, {passages} passages', es: '{name}: sustituido, {passages} fragmentos' },
  unchanged: { en: '{name}: unchanged', es: '{name}: sin cambios' },
  duplicate: {
    en: '{name}: the same content is there as {source}',
    es: '{name}: el mismo contenido ya está como {source}',
  },
  failed: { en: '{name}: failed. {reason}', es: '{name}: falló. {reason}' },
  pagesWithoutText: {
    en: '{name}: {count} of its pages are images without text.',
    es: '{name}: {count} de sus páginas son imágenes sin texto.',
  },
  removed: { en: '{name}: removed', es: '{name}: borrado' },
  summary: {
    en: '{done} taken, {unchanged} unchanged, {duplicate} duplicates, {removed} removed, {failed} failed.',
    es: '{done} incorporados, {unchanged} sin cambios, {duplicate} duplicados, {removed} borrados, {failed} con error.',
  },
  askGreeting: {
    en: 'Ask about your documents. An empty line ends the conversation.',
    es: 'Pregunta sobre tus documentos. Una línea vacía termina la conversación.',
  },
  sources: { en: 'Sources', es: 'Fuentes' },
  pages: { en: 'pages {page}–{last}', es: 'páginas {page}–{last}' },
  unsupported: { en: 'No source says: {sentence}', es: 'Ninguna fuente dice: {sentence}' },
  likelySource: { en: 'Nearest to [{number}]: {sentence}', es: 'Lo más cercano a [{number}]: {sentence}' },
  badMode: {
    en: 'There is no mode "{name}". Choose hybrid, vector or words.',
    es: 'No existe el modo "{name}". Elige hybrid, vector o words.',
  },
  noFile: { en: 'There is no file or folder "{path}".', es: 'No existe el archivo o la carpeta "{path}".' },
  noFolder: { en: '"{path}" is no folder.', es: '"{path}" no es una carpeta.' },
  nothingToRead: { en: 'Nothing in {path} can be read as a document.', es: 'Nada en {path} se puede leer como documento.' },
  emptiedFolder: {
    en: '{path} holds no documents any more, so nothing was removed: is it mounted? `docs remove` removes documents.',
    es: '{path} ya no tiene documentos, así que no se borró nada: ¿está montada? `docs remove` borra documentos.',
  },
  onlyFolders: { en: 'Only folders can be watched, not {path}.', es: 'Solo se pueden vigilar carpetas, no {path}.' },
  watching: { en: 'Watching {path}. Ctrl-C ends it.', es: 'Vigilando {path}. Ctrl-C lo termina.' },
  none: { en: 'There are no documents.', es: 'No hay documentos.' },
  badNumber: {
    en: '--{name} must be a whole number, but is "{value}".',
    es: '--{name} debe ser un número entero, pero es "{value}".',
  },
  page: { en: 'page {page}', es: 'página {page}' },
} as const satisfies Record<string, Text>

export const speakOfDocs = speaker(docsMessages)
export type SayOfDocs = ReturnType<typeof speakOfDocs>
