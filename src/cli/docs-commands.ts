import type { Command, CommandFlag } from './commands.ts'

const collection: CommandFlag = {
  name: 'collection',
  value: 'NAME',
  help: { en: 'The collection; default: "default".', es: 'La colección; por defecto, "default".' },
}
const chunkTokens: CommandFlag = {
  name: 'chunk-tokens',
  value: 'NUMBER',
  help: { en: 'Tokens of a passage at most.', es: 'Tokens de un fragmento como máximo.' },
}
const watch: CommandFlag = {
  name: 'watch',
  help: { en: 'Keeps folders and collection in step.', es: 'Mantiene al día la colección con las carpetas.' },
}
const json: CommandFlag = { name: 'json', help: { en: 'Writes JSON.', es: 'Escribe JSON.' } }

/** The commands about documents to search in. */
export const docsCommands: readonly Command[] = [
  {
    path: ['docs', 'add'],
    arguments: ['PATH|URL…'],
    flags: [collection, chunkTokens, watch],
    help: {
      en: 'Takes files, folders and web pages into a collection.',
      es: 'Incorpora archivos, carpetas y páginas web a una colección.',
    },
    run: async (context) => (await import('./docs.ts')).addDocuments(context),
  },
  {
    path: ['docs', 'sync'],
    arguments: ['FOLDER'],
    flags: [collection, chunkTokens, watch],
    help: {
      en: 'Brings a collection in step with a folder: new, changed and vanished files.',
      es: 'Pone una colección al día con una carpeta: archivos nuevos, cambiados y desaparecidos.',
    },
    run: async (context) => (await import('./docs.ts')).syncFolders(context),
  },
  {
    path: ['docs', 'list'],
    arguments: [],
    flags: [collection, json],
    help: { en: 'Lists the documents of a collection.', es: 'Lista los documentos de una colección.' },
    run: async (context) => (await import('./docs.ts')).listDocuments(context),
  },
  {
    path: ['docs', 'show'],
    arguments: ['ID'],
    flags: [json],
    help: { en: 'Shows a document with its passages.', es: 'Muestra un documento con sus fragmentos.' },
    run: async (context) => (await import('./docs.ts')).showDocument(context),
  },
  {
    path: ['docs', 'remove'],
    arguments: ['ID'],
    flags: [],
    help: { en: 'Removes a document.', es: 'Borra un documento.' },
    run: async (context) => (await import('./docs.ts')).removeDocument(context),
  },
]
