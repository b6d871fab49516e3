import { isIP } from 'node:net'
import { integer, listOf, oneOf, type Text, text } from './kinds.ts'
import type { Setting } from './setting.ts'

const port = integer({ minimum: 0, maximum: 65_535 })
const none: Text = { en: 'none', es: 'ninguno' }

const origins = listOf(
  {
    en: 'origins such as http://localhost:5173, parted by commas',
    es: 'orígenes como http://localhost:5173, separados por comas',
  },
  (item) => URL.canParse(item) && new URL(item).origin === item,
)
const hostNames = listOf(
  {
    en: 'host names such as ai.example.com or *.example.com, parted by commas',
    es: 'nombres de máquina como ia.example.com o *.example.com, separados por comas',
  },
  isHostPattern,
)
const proxies = listOf(
  {
    en: 'addresses or subnets such as 10.0.0.0/8, parted by commas',
    es: 'direcciones o subredes como 10.0.0.0/8, separadas por comas',
  },
  isAddressOrSubnet,
)
function isAddressOrSubnet(item: string): boolean {
  const [address = '', bits, ...rest] = item.split('/')
  const width = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  return width > 0 && rest.length === 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= width))
}

/** A `*` stands for the first part of a name alone, and never for a whole domain of the internet's highest level. */
function isHostPattern(item: string): boolean {
  const name = item.startsWith('*.') && item.includes('.', 2) ? item.slice(2) : item
  return !name.includes('*') && URL.parse(`http://${name}`)?.hostname === name.toLowerCase()
}

export const serviceSettings = {
  environment: {
    env: 'ENVIRONMENT',
    group: 'service',
    kind: oneOf('development', 'production'),
    default: 'development',
    help: {
      en: 'production demands a SECRET_KEY and marks cookies Secure.',
      es: 'production exige una SECRET_KEY y marca las cookies como Secure.',
    },
  },
  host: {
    env: 'HOST',
    group: 'service',
    kind: text({ pattern: /^[\w.:-]+$/, expected: { en: 'a host name or address', es: 'un nombre de máquina o una dirección' } }),
    default: '127.0.0.1',
    help: {
      en: 'Address to listen on. Any other than loopback demands a SECRET_KEY.',
      es: 'Dirección en la que escucha. Cualquiera que no sea la local exige una SECRET_KEY.',
    },
  },
  port: {
    env: 'PORT',
    group: 'service',
    kind: port,
    default: 8000,
    help: { en: 'Port of the API; 0 picks a free one.', es: 'Puerto de la API; 0 elige uno libre.' },
  },
  clientPort: {
    env: 'CLIENT_PORT',
    group: 'service',
    kind: port,
    default: 8001,
    help: { en: 'Port of the web client; 0 picks a free one.', es: 'Puerto del cliente web; 0 elige uno libre.' },
  },
  allowedHosts: {
    env: 'ALLOWED_HOSTS',
    group: 'service',
    kind: hostNames,
    default: [],
    defaultText: {
      en: 'loopback names; with another HOST also addresses and names of private networks',
      es: 'nombres locales; con otro HOST también direcciones y nombres de redes privadas',
    },
    help: {
      en: 'Names by which browsers reach the service, besides those of CORS_ORIGINS and what comes through TRUST_PROXY. *.example.com: each name with one part more.',
      es: 'Nombres por los que los navegadores llegan al servicio, además de los de CORS_ORIGINS y lo que pasa por TRUST_PROXY. *.example.com: todo nombre con una parte más.',
    },
  },
  corsOrigins: {
    env: 'CORS_ORIGINS',
    group: 'service',
    kind: origins,
    default: [],
    defaultText: none,
    help: { en: 'Web pages of these origins may call the API.', es: 'Las páginas web de estos orígenes pueden llamar a la API.' },
  },
  trustProxy: {
    env: 'TRUST_PROXY',
    group: 'service',
    kind: proxies,
    default: [],
    defaultText: none,
    help: {
      en: 'Proxies whose X-Forwarded-For header is believed.',
      es: 'Proxies cuya cabecera X-Forwarded-For se cree.',
    },
  },
  shutdownGraceSeconds: {
    env: 'SHUTDOWN_GRACE_SECONDS',
    group: 'service',
    kind: integer({ minimum: 0, maximum: 3600 }),
    default: 10,
    help: {
      en: 'How long running answers may take to end when the service is stopped.',
      es: 'Cuánto tiempo tienen las respuestas en curso para terminar al parar el servicio.',
    },
  },
  shutdownDelaySeconds: {
    env: 'SHUTDOWN_DELAY_SECONDS',
    group: 'service',
    kind: integer({ minimum: 0, maximum: 600 }),
    default: 0,
    help: {
      en: 'How long a service that is told to stop goes on answering, while /health/ready says 503 already: until nothing more is sent to it.',
      es: 'Cuánto tiempo un servicio al que se pide parar sigue respondiendo, mientras /health/ready ya dice 503: hasta que no se le envíe nada más.',
    },
  },
  logLevel: {
    env: 'LOG_LEVEL',
    group: 'service',
    kind: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
    default: 'info',
    help: {
      en: 'The least important log lines that are written.',
      es: 'Las líneas de registro menos importantes que se escriben.',
    },
  },
} as const satisfies Record<string, Setting>
