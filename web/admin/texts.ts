import type { Text } from '../../src/config/kinds.ts'

/** What several views of the administration say. */
export const texts = {
  overview: { en: 'Overview', es: 'Resumen' },
  users: { en: 'Users', es: 'Usuarios' },
  keys: { en: 'Keys', es: 'Claves' },
  egress: { en: 'What left', es: 'Salidas' },
  audit: { en: 'Audit', es: 'Auditoría' },
  logs: { en: 'Logs', es: 'Registro' },
  feedback: { en: 'Feedback', es: 'Opiniones' },
  settings: { en: 'Settings', es: 'Ajustes' },
  views: { en: 'Parts of the administration', es: 'Partes de la administración' },
  unknownView: { en: 'There is no such page here.', es: 'Aquí no hay tal página.' },
  cancel: { en: 'Cancel', es: 'Cancelar' },
  delete: { en: 'Delete', es: 'Eliminar' },
  save: { en: 'Save', es: 'Guardar' },
  filter: { en: 'Filter', es: 'Filtrar' },
  clearFilter: { en: 'Clear', es: 'Quitar filtros' },
  filters: { en: 'Filters', es: 'Filtros' },
  all: { en: 'all', es: 'todo' },
  from: { en: 'From', es: 'Desde' },
  to: { en: 'Until', es: 'Hasta' },
  user: { en: 'User', es: 'Usuario' },
  time: { en: 'Time', es: 'Hora' },
  downloadCsv: { en: 'Download as CSV', es: 'Descargar en CSV' },
  actions: { en: 'Actions', es: 'Acciones' },
  nothingFiltered: { en: 'Nothing fits these filters.', es: 'Nada encaja con estos filtros.' },
} as const satisfies Readonly<Record<string, Text>>
