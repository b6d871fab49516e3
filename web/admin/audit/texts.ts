import type { Text } from '../../../src/config/kinds.ts'

export const texts = {
  title: { en: 'Audit log', es: 'Registro de auditoría' },
  intro: {
    en: 'What changed the service, its users or their keys, or tried to.',
    es: 'Lo que cambió el servicio, sus usuarios o sus claves, o lo intentó.',
  },
  action: { en: 'Action', es: 'Acción' },
  actionHint: { en: 'login, model-select…', es: 'login, model-select…' },
  target: { en: 'Of what', es: 'Sobre qué' },
  outcome: { en: 'Outcome', es: 'Resultado' },
  done: { en: 'done', es: 'hecho' },
  refused: { en: 'refused', es: 'rechazado' },
  failed: { en: 'failed', es: 'con fallo' },
  nobody: { en: 'nobody signed in', es: 'nadie con sesión' },
  byKey: { en: 'by the key {id}', es: 'con la clave {id}' },
  address: { en: 'Address', es: 'Dirección' },
  none: { en: 'Nothing has been noted yet.', es: 'Todavía no hay nada anotado.' },
} as const satisfies Readonly<Record<string, Text>>
