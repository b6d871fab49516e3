import type { Text } from '../../../src/config/kinds.ts'

export const texts = {
  copy: { en: 'Copy', es: 'Copiar' },
  copied: { en: 'Copied', es: 'Copiado' },
  copyFailed: { en: 'It could not be copied.', es: 'No se pudo copiar.' },
  source: { en: 'Source', es: 'Fuente' },
  done: { en: 'done', es: 'hecho' },
  open: { en: 'open', es: 'pendiente' },
  table: { en: 'Table', es: 'Tabla' },
  unsupported: { en: 'No source says this', es: 'Ninguna fuente lo dice' },
} as const satisfies Readonly<Record<string, Text>>
