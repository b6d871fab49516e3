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
const mode: CommandFlag = {
  name: 'mode',
  value: 'NAME',
  help: { en: 'How to search: hybrid, vector or words.', es: 'Cómo buscar: hybrid, vector o words.' },
}
const json: CommandFlag = { name: 'json', help: { en: 'Writes JSON.', es: 'Escribe JSON.' } }

const evalFlags: readonly CommandFlag[] = [
  {
    name: 'questions',
    value: 'FILE',
    help: { en: 'Questions, one JSON object a line.', es: 'Preguntas, un objeto JSON por línea.' },
  },
  { name: 'make', value: 'N', help: { en: 'Makes N questions from the documents.', es: 'Hace N preguntas con los documentos.' } },
  collection,
  { name: 'k', value: 'N', help: { en: 'How many sources each question gets.', es: 'Cuántas fuentes recibe cada pregunta.' } },
  {
    name: 'modes',
    value: 'LIST',
    help: { en: 'Which of hybrid,vector,words.', es: 'Cuáles de hybrid,vector,words.' },
  },
  { name: 'split', value: 'NAME', help: { en: 'Only the questions of this part.', es: 'Solo las preguntas de esta parte.' } },
  {
    name: 'answer',
    help: { en: 'Has the model answer, and judges its citations.', es: 'El modelo responde, y se juzgan sus citas.' },
  },
  { name: 'output', value: 'FILE', help: { en: 'Where to write the result.', es: 'Dónde escribir el resultado.' } },
]

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
  {
    path: ['docs', 'ask'],
    arguments: ['[QUESTION]…'],
    flags: [collection, mode, json],
    help: {
      en: 'Answers from the documents, with sources; without a question it is a conversation.',
      es: 'Responde con los documentos y cita las fuentes; sin pregunta, es una conversación.',
    },
    run: async (context) => (await import('./docs-ask.ts')).askDocuments(context),
  },
  {
    path: ['docs', 'eval'],
    arguments: [],
    flags: [...evalFlags, json],
    help: {
      en: 'Measures how well the documents that answer a question are found.',
      es: 'Mide lo bien que se encuentran los documentos que responden a una pregunta.',
    },
    run: async (context) => (await import('./docs-eval.ts')).evalDocuments(context),
  },
]
