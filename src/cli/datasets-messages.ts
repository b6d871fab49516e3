import type { Text } from '../config/kinds.ts'
import { speaker } from './language.ts'

/** What the `datasets` commands say. Where a text has a place such as {name}, both languages have it. */
export const datasetsMessages = {
  none: { en: 'There are no datasets.', es: 'No hay conjuntos de datos.' },
  noFile: { en: 'There is no file "{path}".', es: 'No existe el archivo "{path}".' },
  noFolder: { en: 'There is no folder "{path}".', es: 'No existe la carpeta "{path}".' },
  badNumber: { en: '--{name} must be a number, but is "{value}".', es: '--{name} debe ser un número, pero es "{value}".' },
  badMethod: {
    en: '--method must be sft (answers to learn) or dpo (pairs of a better and a worse one).',
    es: '--method debe ser sft (respuestas que aprender) o dpo (parejas de una mejor y una peor).',
  },
  badExclude: { en: '--exclude has "{value}", but takes {known}.', es: '--exclude tiene "{value}", pero admite {known}.' },
  badRating: { en: '--rating must be up or down.', es: '--rating debe ser up o down.' },
  made: { en: '{name} is made: {id}', es: '{name} está creado: {id}' },
  rows: {
    en: '{train} rows to learn from and {heldOut} held out, of {conversations} conversations ({kind})',
    es: '{train} filas para aprender y {heldOut} reservadas, de {conversations} conversaciones ({kind})',
  },
  nothingHeldOut: {
    en: 'Nothing is held out, so that no evaluation can tell what was learned: it takes more conversations, or a greater --held-out.',
    es: 'No hay nada reservado, así que ninguna evaluación podrá decir qué se ha aprendido: hacen falta más conversaciones o un --held-out mayor.',
  },
  records: { en: '{rows} of {records} records kept', es: 'Se guardaron {rows} de {records} registros' },
  emptyLines: { en: '{count} empty lines', es: '{count} líneas vacías' },
  refused: { en: '{count} refused, {reason}:', es: '{count} rechazados, {reason}:' },
  line: { en: 'line {line}: {message}', es: 'línea {line}: {message}' },
  ignored: { en: 'Fields without a meaning here: {fields}', es: 'Campos sin significado aquí: {fields}' },
  flagged: { en: '{count} flagged {flag}: lines {lines}', es: '{count} marcados {flag}: líneas {lines}' },
  excluded: { en: '{count} left out as {flag}', es: '{count} dejados fuera por {flag}' },
  lessons: {
    en: '{used} of {lessons} lessons of the feedback used',
    es: 'Se usaron {used} de {lessons} lecciones de las opiniones',
  },
  leftOut: { en: '{count} left out: {reason}', es: '{count} dejadas fuera: {reason}' },
  textPrompts: {
    en: '{count} of them were prompts to be continued; they are learned as conversations.',
    es: '{count} de ellas eran textos que continuar; se aprenden como conversaciones.',
  },
  exported: { en: '{name} is in {path}.', es: '{name} está en {path}.' },
  exists: { en: '{path} is there already.', es: '{path} ya existe.' },
  deleted: { en: '{name} is deleted.', es: '{name} está borrado.' },

  'broken-json': { en: 'no valid JSON', es: 'no son JSON válido' },
  'broken-text': { en: 'not valid text', es: 'no son texto válido' },
  'too-long': { en: 'too long', es: 'demasiado largos' },
  'wrong-shape': { en: 'not of a known shape', es: 'sin una forma conocida' },
  'nothing-to-learn': { en: 'nothing to learn', es: 'nada que aprender' },
  'same-answers': { en: 'two answers that are the same', es: 'dos respuestas iguales' },
  tools: { en: 'with tools', es: 'con herramientas' },
  images: { en: 'with pictures or sound', es: 'con imágenes o sonido' },
  unpaired: { en: 'one answer with a label', es: 'una respuesta con etiqueta' },
  disliked: { en: 'disliked, without a correction', es: 'no gustaron y nadie las corrigió' },
  corrected: { en: 'liked, but corrected as well', es: 'gustaron, pero alguien las corrigió' },
  'no-other-answer': { en: 'without a worse answer', es: 'sin otra respuesta peor' },
  repeated: { en: 'the same answer again', es: 'la misma respuesta otra vez' },
  end: { en: 'answers that were cut off', es: 'respuestas cortadas' },
  'text-only': { en: 'texts without an answer', es: 'textos sin respuesta' },
  gone: { en: 'answers that are not remembered', es: 'respuestas que ya no se recuerdan' },
  superseded: { en: 'replaced by later feedback', es: 'sustituidas por una opinión posterior' },
  'by-others': { en: "on somebody else's answer", es: 'sobre la respuesta de otra persona' },
} as const satisfies Record<string, Text>

type Name = keyof typeof datasetsMessages
export const speakOfDatasets = speaker(datasetsMessages)
export type SayOfDatasets = ReturnType<typeof speakOfDatasets>

/** A reason in words; as it stands, where a newer service has one that is not known here. */
export function reasonOf(reason: string, say: SayOfDatasets): string {
  return isName(reason) ? say(reason) : reason
}

const isName = (name: string): name is Name => Object.hasOwn(datasetsMessages, name)
