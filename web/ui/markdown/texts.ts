import type { Text } from '../../../src/config/kinds.ts'

export const texts = {
  copy: { en: 'Copy', es: 'Copiar' },
  source: { en: 'Source', es: 'Fuente' },
  done: { en: 'done', es: 'hecho' },
  open: { en: 'open', es: 'pendiente' },
  table: { en: 'Table', es: 'Tabla' },
  unsupported: { en: 'No source says this', es: 'Ninguna fuente lo dice' },
} as const satisfies Readonly<Record<string, Text>>
