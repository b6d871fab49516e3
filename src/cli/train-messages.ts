import type { Text } from '../config/kinds.ts'
import { speaker } from './language.ts'

/** What `train` and `trainer` say. Where a text has a place such as {name}, both languages have it. */
export const trainMessages = {
  started: {
    en: 'Run {name} ({id}): {model} learns from {dataset}.',
    es: 'Entrenamiento {name} ({id}): {model} aprende de {dataset}.',
  },
  queued: { en: 'Runs before it: {count}.', es: 'Entrenamientos por delante: {count}.' },
  preparing: {
    en: 'Reading the examples and comparing the model with llama.cpp.',
    es: 'Leyendo los ejemplos y comparando el modelo con llama.cpp.',
  },
  plan: {
    en: '{examples} examples ({left} left out), {heldOut} held out; {steps} steps in all, {tokens} tokens an epoch; about {time} and {memory} of memory.',
    es: '{examples} ejemplos ({left} descartados), {heldOut} reservados; {steps} pasos en total, {tokens} tokens por pasada; unos {time} y {memory} de memoria.',
  },
  step: { en: 'Step {step}/{steps}, loss {loss}, {speed} tokens/s', es: 'Paso {step}/{steps}, pérdida {loss}, {speed} tokens/s' },
  epoch: {
    en: 'Epoch {epoch} at step {step}: loss {loss}, held-out loss {heldOut}',
    es: 'Pasada {epoch} en el paso {step}: pérdida {loss}, en los reservados {heldOut}',
  },
  yielding: { en: 'It stands still while models answer.', es: 'Está en pausa mientras los modelos responden.' },
  resumed: { en: 'It goes on after step {step}.', es: 'Sigue a partir del paso {step}.' },
  completed: {
    en: 'Done after {time} of training. What was learned answers as {model}.',
    es: 'Terminado tras {time} de entrenamiento. Lo aprendido responde como {model}.',
  },
  nextStep: {
    en: 'Compare it with the model in use: {program} train evaluate {name}',
    es: 'Compáralo con el modelo en uso: {program} train evaluate {name}',
  },
  ended: { en: 'The run is {state}.', es: 'El entrenamiento está {state}.' },
  reason: { en: 'Why: {reason}', es: 'Por qué: {reason}' },
  goesOn: {
    en: 'The run goes on. Look again with: {program} train watch {name}',
    es: 'El entrenamiento sigue. Para verlo de nuevo: {program} train watch {name}',
  },
  canResume: {
    en: 'Go on with it later: {program} train resume {name}',
    es: 'Para continuarlo más tarde: {program} train resume {name}',
  },
  noRuns: { en: 'There are no training runs.', es: 'No hay entrenamientos.' },
  removed: { en: 'The run {name} is deleted.', es: 'El entrenamiento {name} está borrado.' },
  stopping: { en: '{name} will stop after the step under way.', es: '{name} se detendrá tras el paso en curso.' },
  badNumber: { en: '{flag} must be a number, but is "{value}".', es: '{flag} debe ser un número, pero es "{value}".' },
  badChoice: { en: '{flag} must be one of {known}, but is "{value}".', es: '{flag} debe ser uno de {known}, pero es "{value}".' },
  unknownRun: { en: 'There is no training run "{name}".', es: 'No existe el entrenamiento "{name}".' },
  state: { en: 'state', es: 'estado' },
  model: { en: 'model', es: 'modelo' },
  dataset: { en: 'dataset', es: 'datos' },
  parameters: { en: 'parameters', es: 'parámetros' },
  progress: { en: 'steps', es: 'pasos' },
  loss: { en: 'loss', es: 'pérdida' },
  heldOutLoss: { en: 'held-out loss', es: 'pérdida en los reservados' },
  trained: { en: 'trained', es: 'entrenado' },
  yielded: { en: 'stood still', es: 'en pausa' },
  memory: { en: 'memory', es: 'memoria' },
  answersAs: { en: 'answers as', es: 'responde como' },
} as const satisfies Record<string, Text>

export const stateNames = {
  queued: { en: 'waiting', es: 'en espera' },
  running: { en: 'running', es: 'en marcha' },
  paused: { en: 'paused', es: 'en pausa' },
  interrupted: { en: 'interrupted', es: 'interrumpido' },
  cancelled: { en: 'cancelled', es: 'cancelado' },
  failed: { en: 'failed', es: 'fallido' },
  completed: { en: 'completed', es: 'completado' },
} as const satisfies Record<string, Text>

export const speakOfTraining = speaker(trainMessages)
export type SayOfTraining = ReturnType<typeof speakOfTraining>
