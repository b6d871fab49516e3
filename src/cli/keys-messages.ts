import type { Text } from '../config/kinds.ts'
import { speaker } from './language.ts'

/** What the commands for API keys and quotas say. Where a text has a place such as {name}, both languages have it. */
export const keysMessages = {
  keyMade: {
    en: 'API key "{name}" made, with the scopes {scopes}. This is the only time that it is shown:',
    es: 'Clave de API "{name}" creada, con los permisos {scopes}. Esta es la única vez que se muestra:',
  },
  keyRevoked: { en: 'The API key {id} is dead.', es: 'La clave de API {id} ya no vale.' },
  noKeys: { en: 'There are no API keys.', es: 'No hay claves de API.' },
  forEver: { en: 'no expiry', es: 'sin caducidad' },
  until: { en: 'until {time}', es: 'hasta {time}' },
  neverUsed: { en: 'never used', es: 'sin usar' },
  lastUsed: { en: 'last used {time}', es: 'último uso {time}' },
  usedToday: { en: 'today: {requests} requests, {tokens} tokens', es: 'hoy: {requests} peticiones, {tokens} tokens' },
  badAmount: {
    en: '{flag} must be a number{more}, but is "{value}".',
    es: '{flag} debe ser un número{more}, pero es "{value}".',
  },
  orDefault: { en: ', or "default"', es: ', o "default"' },
  badExpiry: {
    en: '--expires must be a span such as 90d, or a date such as 2030-12-31, but is "{value}".',
    es: '--expires debe ser un plazo como 90d, o una fecha como 2030-12-31, pero es "{value}".',
  },
  quotaChanged: { en: 'The quota of {username} a day: {quota}.', es: 'La cuota de {username} al día: {quota}.' },
  requests: { en: '{amount} requests', es: '{amount} peticiones' },
  tokens: { en: '{amount} tokens', es: '{amount} tokens' },
  cost: { en: '{amount} USD', es: '{amount} USD' },
  noLimit: { en: 'without limit', es: 'sin límite' },
  usual: { en: 'as for all users', es: 'como todos los usuarios' },
} as const satisfies Record<string, Text>

export const speakOfKeys = speaker(keysMessages)
export type SayOfKeys = ReturnType<typeof speakOfKeys>
