import type { Text } from '../../../src/config/kinds.ts'

export const texts = {
  title: { en: 'Live log', es: 'Registro en vivo' },
  level: { en: 'From level', es: 'Desde el nivel' },
  search: { en: 'Search in what is shown', es: 'Buscar en lo que se ve' },
  pause: { en: 'Pause', es: 'Pausar' },
  goOn: { en: 'Go on', es: 'Continuar' },
  clear: { en: 'Clear', es: 'Vaciar' },
  connecting: { en: 'Connecting…', es: 'Conectando…' },
  following: { en: 'Following', es: 'Siguiendo' },
  lost: { en: 'The connection is lost. Trying again…', es: 'Se perdió la conexión. Intentándolo de nuevo…' },
  ended: { en: 'Stopped', es: 'Detenido' },
  held: { en: 'Paused; {count} new lines wait', es: 'En pausa; esperan {count} líneas nuevas' },
  shown: { en: '{count} of {all} lines', es: '{count} de {all} líneas' },
  lines: { en: 'Lines of the log', es: 'Líneas del registro' },
  none: { en: 'No lines yet.', es: 'Todavía no hay líneas.' },
  noneFound: { en: 'No line holds this.', es: 'Ninguna línea contiene esto.' },
} as const satisfies Readonly<Record<string, Text>>
