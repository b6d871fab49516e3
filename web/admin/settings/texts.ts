import type { Text } from '../../../src/config/kinds.ts'

export const texts = {
  title: { en: 'Settings', es: 'Ajustes' },
  reloadTitle: { en: 'Configuration', es: 'Configuración' },
  reloadText: {
    en: 'Reads config.json, providers.json and prices.json again, without a restart. If one of them is wrong, nothing changes.',
    es: 'Vuelve a leer config.json, providers.json y prices.json, sin reiniciar. Si algo está mal en ellos, no cambia nada.',
  },
  reload: { en: 'Reload the configuration', es: 'Recargar la configuración' },
  reloading: { en: 'Reloading…', es: 'Recargando…' },
  reloaded: { en: 'Done. {name} answers.', es: 'Hecho. Responde {name}.' },
  reloadedNone: { en: 'Done. No model is selected.', es: 'Hecho. No hay ningún modelo elegido.' },
  providers: { en: 'Providers', es: 'Proveedores' },
  providersNone: { en: 'There are none.', es: 'No hay ninguno.' },
  provider: { en: 'Provider', es: 'Proveedor' },
  place: { en: 'Where it runs', es: 'Dónde se ejecuta' },
  local: { en: 'on this machine', es: 'en esta máquina' },
  cloud: { en: 'elsewhere', es: 'fuera de esta máquina' },
  models: { en: 'Models', es: 'Modelos' },
  inUse: { en: 'in use', es: 'en uso' },
  anyModel: { en: 'whatever it offers', es: 'los que ofrezca' },
  routes: { en: 'Routes:', es: 'Rutas:' },
  elsewhere: { en: 'Elsewhere', es: 'En otra parte' },
  modelsPage: { en: 'Choose, download and remove models', es: 'Elegir, descargar y quitar modelos' },
  api: { en: 'The API, with all its routes', es: 'La API, con todas sus rutas' },
  metrics: { en: 'Metrics for Prometheus', es: 'Métricas para Prometheus' },
  fixed: {
    en: 'All other settings are read once, at the start; docs/settings.md explains them.',
    es: 'Los demás ajustes se leen una vez, al arrancar; docs/settings.md los explica.',
  },
} as const satisfies Readonly<Record<string, Text>>
