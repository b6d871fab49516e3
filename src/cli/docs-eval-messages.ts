import type { Text } from '../config/kinds.ts'
import { speaker } from './language.ts'

/** What `docs eval` says. */
export const docsEvalMessages = {
  needsQuestions: {
    en: 'Say which questions: --questions FILE.jsonl (one {"question", "relevant": ["SOURCE"]} a line), or --make N to have some made.',
    es: 'Di qué preguntas: --questions FILE.jsonl (una {"question", "relevant": ["SOURCE"]} por línea), o --make N para que se hagan.',
  },
  unreadableFile: { en: 'The file {file} cannot be read.', es: 'No se puede leer el archivo {file}.' },
  unwritableFile: {
    en: 'The file {file} cannot be written, or is there already. Name another with --output.',
    es: 'El archivo {file} no se puede escribir, o ya existe. Indica otro con --output.',
  },
  badNumber: {
    en: '{name} must be a whole number from 1 to {most}, but is "{value}".',
    es: '{name} debe ser un número entero de 1 a {most}, pero es "{value}".',
  },
  badMode: {
    en: 'There is no mode "{value}". The modes: {known}.',
    es: 'No existe el modo "{value}". Los modos: {known}.',
  },
  noSplit: { en: 'No question has the split "{value}".', es: 'Ninguna pregunta tiene la parte "{value}".' },
  asking: { en: '{mode}: question {done} of {total}', es: '{mode}: pregunta {done} de {total}' },
  waiting: {
    en: 'The service takes only so many requests in a time (RATE_LIMIT_REQUESTS); waiting {seconds} s. Its times leave this out.',
    es: 'El servicio admite un número limitado de peticiones (RATE_LIMIT_REQUESTS); se esperan {seconds} s, que no cuentan en los tiempos.',
  },
  written: { en: 'Written: {file}', es: 'Escrito: {file}' },
  made: {
    en: '{count} questions are in {file} ({model} by the model, {rule} by rule). Look through them, then: {program} docs eval --questions {file}',
    es: '{count} preguntas están en {file} ({model} del modelo, {rule} por regla). Revísalas, y después: {program} docs eval --questions {file}',
  },
  noDocuments: { en: 'The collection "{name}" holds no documents.', es: 'La colección "{name}" no tiene documentos.' },
  making: { en: 'Making question {done} of {total}', es: 'Haciendo la pregunta {done} de {total}' },
  questions: { en: 'questions', es: 'preguntas' },
  seconds: { en: 'seconds, p50 / p95', es: 'segundos, p50 / p95' },
  answered: { en: 'answered', es: 'respondidas' },
  abstained: { en: 'told that the documents do not tell', es: 'dijo que los documentos no lo dicen' },
  cited: { en: 'answers with a citation', es: 'respuestas con cita' },
  citationPrecision: { en: 'citations of a right document', es: 'citas de un documento correcto' },
  difference: {
    en: 'recall@{k}, {one} against {other}: {points} points (95 %: {low} to {high})',
    es: 'recall@{k}, {one} frente a {other}: {points} puntos (95 %: de {low} a {high})',
  },
  interval: { en: 'In brackets: the 95 % confidence interval.', es: 'Entre paréntesis: el intervalo de confianza del 95 %.' },
} as const satisfies Record<string, Text>

export const speakOfDocsEval = speaker(docsEvalMessages)
export type SayOfDocsEval = ReturnType<typeof speakOfDocsEval>
