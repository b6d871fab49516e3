import type { Text } from '../config/kinds.ts'
import { speaker } from './language.ts'

/** What the `rollout` commands say. Where a text has a place such as {name}, both languages have it. */
export const rolloutMessages = {
  started: {
    en: 'The requests for "{alias}" are shared now: {arms}. Id: {id}',
    es: 'Las peticiones a "{alias}" se reparten ahora: {arms}. Id: {id}',
  },
  leaves: {
    en: 'Note: the prompts for {model} leave this machine.',
    es: 'Aviso: las peticiones a {model} salen de esta máquina.',
  },
  changed: {
    en: 'The requests for "{alias}" are shared now: {arms}.',
    es: 'Las peticiones a "{alias}" se reparten ahora: {arms}.',
  },
  promoted: { en: '"{alias}" means {model} now.', es: '"{alias}" es ahora {model}.' },
  rolledBack: { en: 'Back: "{alias}" means {model} again.', es: 'De vuelta: "{alias}" es otra vez {model}.' },
  ended: {
    en: 'Ended: "{alias}" means what it means without a rollout.',
    es: 'Terminado: "{alias}" es lo que era sin el reparto.',
  },
  none: { en: 'There are no rollouts.', es: 'No hay repartos.' },
  noneRuns: { en: 'No rollout of "{alias}" runs.', es: 'No hay ningún reparto de "{alias}" en marcha.' },
  noEvents: { en: 'Nothing has been done yet.', es: 'Aún no se ha hecho nada.' },
  head: { en: '{alias}: {state} since {time}, id {id}', es: '{alias}: {state} desde {time}, id {id}' },
  running: { en: 'running', es: 'en marcha' },
  isPromoted: { en: 'promoted', es: 'promovido' },
  isRolledBack: { en: 'rolled back', es: 'revertido' },
  isEnded: { en: 'ended', es: 'terminado' },
  blockedByRoute: {
    en: 'A route of providers.json has this name and answers instead.',
    es: 'Una ruta de providers.json tiene este nombre y responde en su lugar.',
  },
  blockedByModel: {
    en: 'An installed model has this name and answers who names it.',
    es: 'Un modelo instalado tiene este nombre y responde a quien lo nombra.',
  },
  arm: {
    en: '{share} % {model}: {answers} answers, {rated} rated, {wins} wins ({rate}, 95 %: {low} to {high}), {speed} tokens/s, {latency} ms',
    es: '{share} % {model}: {answers} respuestas, {rated} valoradas, {wins} buenas ({rate}, 95 %: {low} a {high}), {speed} tokens/s, {latency} ms',
  },
  problem: { en: 'It cannot answer now: {problem}', es: 'Ahora no puede responder: {problem}' },
  passedBy: {
    en: '{requests} requests went to the first model instead, the last time because of "{code}"',
    es: '{requests} peticiones fueron al primer modelo en su lugar, la última vez por "{code}"',
  },
  comparison: {
    en: '{candidate} − {baseline}: {difference} (95 %: {low} to {high}), p = {p}: {verdict}',
    es: '{candidate} − {baseline}: {difference} (95 %: {low} a {high}), p = {p}: {verdict}',
  },
  undecided: { en: 'undecided', es: 'sin decidir' },
  tooFew: { en: 'undecided, too few ratings yet', es: 'sin decidir, aún hay pocas valoraciones' },
  candidateBetter: { en: 'the candidate is better', es: 'el candidato es mejor' },
  baselineBetter: { en: 'the one before is better', es: 'el anterior es mejor' },
  rule: { en: 'Rule: {rule}', es: 'Regla: {rule}' },
  byRule: { en: 'the rule', es: 'la regla' },
  badArm: {
    en: 'An arm must be MODEL=SHARE, such as gemma-3-270m=90, but is "{value}".',
    es: 'Cada modelo debe ser MODELO=PORCENTAJE, como gemma-3-270m=90, pero es "{value}".',
  },
  badValue: { en: '{flag} must be {expected}, but is "{value}".', es: '{flag} debe ser {expected}, pero es "{value}".' },
  aNumber: { en: 'a number', es: 'un número' },
  needsMinRatings: {
    en: 'A rule needs --min-ratings: so many ratings must each model have before it acts.',
    es: 'Una regla necesita --min-ratings: las valoraciones que debe tener cada modelo antes de actuar.',
  },
} as const satisfies Record<string, Text>

export const speakOfRollouts = speaker(rolloutMessages)
export type SayOfRollouts = ReturnType<typeof speakOfRollouts>
