import type { Text } from '../config/kinds.ts'
import { speaker } from './language.ts'

/** What `train evaluate`, `train evaluations` and `models compare` say. */
export const evaluateMessages = {
  needsCandidate: {
    en: 'Say which model is to be evaluated: its name (such as base+adapter), or that of a training run.',
    es: 'Di qué modelo hay que evaluar: su nombre (por ejemplo base+adaptador) o el de un entrenamiento.',
  },
  badNumber: {
    en: '{name} must be a whole number from 1 to {most}, but is "{value}".',
    es: '{name} debe ser un número entero de 1 a {most}, pero es "{value}".',
  },
  started: {
    en: 'Evaluation {id}: {candidate} beside {baseline}',
    es: 'Evaluación {id}: {candidate} frente a {baseline}',
  },
  stages: { en: '{stage}: {done} of {total}', es: '{stage}: {done} de {total}' },
  'score-baseline': { en: 'Scoring texts with the first model', es: 'Puntuando textos con el primer modelo' },
  'score-candidate': { en: 'Scoring texts with the second model', es: 'Puntuando textos con el segundo modelo' },
  'answer-baseline': { en: 'The first model answers', es: 'El primer modelo responde' },
  'answer-candidate': { en: 'The second model answers', es: 'El segundo modelo responde' },
  judge: { en: 'The judge compares', es: 'El juez compara' },
  notCompleted: { en: 'The evaluation is {state}. {reason}', es: 'La evaluación está {state}. {reason}' },
  none: { en: 'There are no evaluations yet.', es: 'Todavía no hay evaluaciones.' },
  change: { en: 'difference', es: 'diferencia' },
  heldOutLoss: { en: 'held-out loss', es: 'pérdida en filas reservadas' },
  perplexity: { en: 'held-out perplexity', es: 'perplejidad en filas reservadas' },
  forgetting: { en: 'loss on general texts', es: 'pérdida en textos generales' },
  ratedUp: { en: 'loss on answers rated up', es: 'pérdida en respuestas bien valoradas' },
  byReward: { en: 'pairs decided right (by reward)', es: 'pares bien decididos (por recompensa)' },
  bySum: { en: 'pairs decided right (by sum)', es: 'pares bien decididos (por suma)' },
  byMean: { en: 'pairs decided right (by mean)', es: 'pares bien decididos (por media)' },
  heldOutExact: { en: 'held-out questions: exact', es: 'preguntas reservadas: exactas' },
  heldOutContains: { en: 'held-out questions: holds the answer', es: 'preguntas reservadas: contiene la respuesta' },
  generalExact: { en: 'general questions: exact', es: 'preguntas generales: exactas' },
  generalContains: { en: 'general questions: holds the answer', es: 'preguntas generales: contiene la respuesta' },
  characters: { en: 'characters of an answer', es: 'caracteres por respuesta' },
  speed: { en: 'tokens/s', es: 'tokens/s' },
  failed: { en: 'questions without an answer', es: 'preguntas sin respuesta' },
  byChance: { en: 'by chance: {percent}', es: 'por azar: {percent}' },
  interval: {
    en: 'In brackets: the 95 % confidence interval. Scored texts: {held} held-out, {general} general. Questions: {questions}.',
    es: 'Entre paréntesis: el intervalo de confianza del 95 %. Textos puntuados: {held} reservados, {general} generales. Preguntas: {questions}.',
  },
  judgeSays: {
    en: 'The judge {model}: {wins} wins, {ties} ties, {losses} losses of {candidate}; win rate {rate}.',
    es: 'El juez {model}: {wins} victorias, {ties} empates, {losses} derrotas de {candidate}; tasa de victorias {rate}.',
  },
  judgeDoubts: {
    en: 'In {inconsistent} it changed its mind with the order; {broken} verdicts could not be read; it preferred the first answer {first} of {verdicts} times.',
    es: 'En {inconsistent} cambió de opinión con el orden; {broken} veredictos no se pudieron leer; prefirió la primera respuesta {first} de {verdicts} veces.',
  },
  held_out_loss: {
    en: 'held-out loss: {value} (at most {limit}; below zero is better)',
    es: 'pérdida en filas reservadas: {value} (como máximo {limit}; bajo cero es mejor)',
  },
  forgettingCriterion: {
    en: 'loss on general texts: {value} (at most {limit}; below zero is better)',
    es: 'pérdida en textos generales: {value} (como máximo {limit}; bajo cero es mejor)',
  },
  exact_match: { en: 'exact answers: {value} (at least {limit})', es: 'respuestas exactas: {value} (como mínimo {limit})' },
  preference_accuracy: {
    en: 'pairs decided right: {value} (at least {limit})',
    es: 'pares bien decididos: {value} (como mínimo {limit})',
  },
  judge_win_rate: { en: 'win rate: {value} (at least {limit})', es: 'tasa de victorias: {value} (como mínimo {limit})' },
  points: { en: '{value} points', es: '{value} puntos' },
  unknown: { en: 'not measured', es: 'sin medir' },
  passes: { en: 'PASSES', es: 'PASA' },
  fails: { en: 'DOES NOT PASS', es: 'NO PASA' },
  undecided: { en: 'UNDECIDED', es: 'SIN DECIDIR' },
  noDataset: {
    en: 'No dataset was named: only general texts and questions were compared. --dataset NAME compares what was learned.',
    es: 'No se indicaron datos: solo se compararon textos y preguntas generales. --dataset NAME compara lo aprendido.',
  },
  nothingHeldOut: {
    en: 'Nothing held out of {dataset} could be measured ({rows} rows), so nothing tells what was learned. Make the dataset of more conversations, or with a greater --held-out.',
    es: 'No se pudo medir nada reservado de {dataset} ({rows} filas), así que no se sabe qué se ha aprendido. Crea los datos con más conversaciones o con un --held-out mayor.',
  },
  fewHeldOut: {
    en: 'Only {count} held-out examples of {dataset} were measured: what they say of the learning may be chance.',
    es: 'Solo se midieron {count} ejemplos reservados de {dataset}: lo que dicen de lo aprendido puede ser azar.',
  },
  differences: { en: 'Where they differ:', es: 'Donde difieren:' },
  more: { en: '… and {count} more (--json shows all)', es: '… y {count} más (--json las muestra todas)' },
} as const satisfies Record<string, Text>

export const speakOfEvaluation = speaker(evaluateMessages)
export type SayOfEvaluation = ReturnType<typeof speakOfEvaluation>

export const stateNames = {
  queued: { en: 'queued', es: 'en cola' },
  running: { en: 'running', es: 'en curso' },
  completed: { en: 'completed', es: 'terminada' },
  failed: { en: 'failed', es: 'fallida' },
  cancelled: { en: 'cancelled', es: 'cancelada' },
  interrupted: { en: 'interrupted', es: 'interrumpida' },
} as const satisfies Record<string, Text>
