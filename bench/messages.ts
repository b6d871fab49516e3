import type { Language, Text } from '../src/config/kinds.ts'

const help: Text = {
  en: `Measures simpleIA beside other servers on this machine. bench/README.md explains each measure.

Usage: {program} bench [FLAGS]

  --peer NAME=URL[,DIALECT]  A running server: simpleia, llama, ollama or openai; it is found out when it is not said. Repeatable.
  --start NAME=COMMAND       Starts the peer of that name with this command of the shell, which its cold start needs. Without such
                             a peer: a server of ours on a free port, such as 'plain=env THREADS=1 node src/main.ts api'. Repeatable.
  --rounds N                 Times that each measure is taken, each time at every server (5).
  --only LIST                Only these measures: {measures}.
  --clients LIST             Numbers of clients at once (1,2,4,8,16).
  --temperature NUMBER       The same for all servers; 0 takes the likeliest token (0.8).
  --model NAME               For peers that serve several models; else their first.
  --file PATH                Model file of the bare loop and of our own server; else the first in the models folder.
  --threads N                Threads of the bare loop (as many as this machine has cores).
  --no-bare                  Leaves out llama.cpp's own limit, the bare loop.
  --soak MINUTES             Instead: so many minutes of mixed load on a server of ours, which must stay as it was.
  --json FILE                Writes every value of every round there.
  --force                    Measures although the machine is busy.`,
  es: `Mide simpleIA junto a otros servidores en esta máquina. bench/README.md explica cada medida (en inglés).

Uso: {program} bench [OPCIONES]

  --peer NOMBRE=URL[,DIALECTO]  Un servidor en marcha: simpleia, llama, ollama u openai; si no se dice, se averigua. Repetible.
  --start NOMBRE=ORDEN       Arranca ese servidor con esta orden del shell, necesaria para medir su arranque en frío. Sin --peer de
                             ese nombre: uno nuestro en un puerto libre, como 'plain=env THREADS=1 node src/main.ts api'. Repetible.
  --rounds N                 Veces que se toma cada medida, cada vez en todos los servidores (5).
  --only LISTA               Solo estas medidas: {measures}.
  --clients LISTA            Números de clientes a la vez (1,2,4,8,16).
  --temperature NÚMERO       La misma para todos; 0 toma el token más probable (0.8).
  --model NOMBRE             Para servidores con varios modelos; si no, el primero.
  --file RUTA                Modelo del bucle desnudo y de nuestro servidor; si no, el primero de la carpeta de modelos.
  --threads N                Hilos del bucle desnudo (tantos como núcleos tiene la máquina).
  --no-bare                  Deja fuera el límite de llama.cpp, el bucle desnudo.
  --soak MINUTOS             En su lugar: tantos minutos de carga variada sobre un servidor nuestro, que debe quedar como estaba.
  --json ARCHIVO             Escribe ahí cada valor de cada ronda.
  --force                    Mide aunque la máquina esté ocupada.`,
}

/** What the harness says to people. */
const messages = {
  help,
  wrongNumber: {
    en: '{flag} must be a whole number from {least} on (the temperature any number), but is "{got}".',
    es: '{flag} debe ser un número entero desde {least} (la temperatura, cualquier número), pero es "{got}".',
  },
  wrongPeer: {
    en: '--peer must look like llama=http://127.0.0.1:8080,llama (dialects: simpleia, llama, ollama, openai), but is "{got}".',
    es: '--peer debe ser como llama=http://127.0.0.1:8080,llama (dialectos: simpleia, llama, ollama, openai), pero es "{got}".',
  },
  wrongStart: {
    en: '--start must look like name=command, but is "{got}".',
    es: '--start debe ser como nombre=orden, pero es "{got}".',
  },
  sameName: { en: 'Each --peer needs a name of its own.', es: 'Cada --peer necesita un nombre propio.' },
  wrongMeasure: {
    en: '--only knows no measure "{got}". There are: {known}.',
    es: '--only no conoce la medida "{got}". Las hay: {known}.',
  },
  busy: {
    en: '{share} % of the cores are busy with something else; a measurement needs less than {limit} %. Stop it, or measure all the same with --force.',
    es: 'El {share} % de los núcleos está ocupado con otra cosa; para medir debe ser menos del {limit} %. Páralo, o mide igualmente con --force.',
  },
  noModel: {
    en: 'There is no model file in {folder} for the bare loop and our own server. Name one with --file, or leave the loop out with --no-bare.',
    es: 'No hay ningún archivo de modelo en {folder} para el bucle desnudo y nuestro servidor. Indica uno con --file, o deja fuera el bucle con --no-bare.',
  },
  noServer: {
    en: 'No server answers at {url} ({reason}).',
    es: 'Ningún servidor responde en {url} ({reason}).',
  },
  portTaken: {
    en: 'Something answers at {url} already; --start would start {name} there.',
    es: 'Ya hay algo que responde en {url}; --start arrancaría ahí {name}.',
  },
  startFailed: {
    en: '{name} did not come up: {reason}',
    es: '{name} no arrancó: {reason}',
  },
  refused: {
    en: '{name} could not answer: {reason}',
    es: '{name} no pudo responder: {reason}',
  },
  failed: {
    en: '{measure} is missing for {server}: {reason}',
    es: 'Falta {measure} de {server}: {reason}',
  },
  noAutocannon: {
    en: 'The measure "cached" needs the package autocannon. Install it with: npm install',
    es: 'La medida "cached" necesita el paquete autocannon. Instálalo con: npm install',
  },
  progress: { en: '{measure}: round {round} of {rounds}, {server}', es: '{measure}: ronda {round} de {rounds}, {server}' },
  fewTokens: {
    en: '{server}, {measure}: only {share} % of the tokens asked for were generated; its texts ended early.',
    es: '{server}, {measure}: solo se generó el {share} % de los tokens pedidos; sus textos acabaron antes.',
  },
  notCalm: {
    en: 'Before {count} of {total} measurements the machine was busy with something else.',
    es: 'Antes de {count} de {total} mediciones la máquina estaba ocupada con otra cosa.',
  },
  promptTokens: { en: 'Tokens of the prompts: {list}.', es: 'Tokens de los prompts: {list}.' },
  soakMinute: {
    en: 'minute {minute}: {answered} answered, {left} left, {busy} busy, {refused} refused, {wrong} wrong · MiB (in no file): {memory}',
    es: 'minuto {minute}: {answered} respondidas, {left} abandonadas, {busy} sin sitio, {refused} rechazadas, {wrong} mal · MiB (en ningún archivo): {memory}',
  },
  soakFault: { en: 'minute {minute}, {kind}: {fault}', es: 'minuto {minute}, {kind}: {fault}' },
  soakIdle: {
    en: 'After all clients had left: {active} active, {queued} queued ({afterMs} ms).',
    es: 'Cuando todos los clientes se habían ido: {active} activas, {queued} en espera ({afterMs} ms).',
  },
  soakHouse: {
    en: '{places} clients at once, before and after: {before} and {after} written together, {beforeSpeed} and {afterSpeed} tokens/s.',
    es: '{places} clientes a la vez, antes y después: {before} y {after} escritas a la vez, {beforeSpeed} y {afterSpeed} tokens/s.',
  },
  'soak-answers': {
    en: 'every answer is the right one, whole and its own',
    es: 'cada respuesta es la correcta, entera y la suya',
  },
  'soak-places': { en: 'no place is lost', es: 'no se ha perdido ningún sitio' },
  'soak-speed': { en: 'it is as fast as before', es: 'es tan rápido como antes' },
  'soak-memory': { en: 'memory has not grown by more than 5 %', es: 'la memoria no ha crecido más de un 5 %' },
  'soak-processes': { en: 'no process had to be started again', es: 'ningún proceso tuvo que arrancar de nuevo' },
  soakFailed: { en: 'The service has failed the soak.', es: 'El servicio no ha superado la prueba de carga.' },
  measureTitle: { en: 'median of {rounds} rounds', es: 'mediana de {rounds} rondas' },
} as const satisfies Record<string, Text>

export type Values = Readonly<Record<string, string | number>>
export type Say = (name: keyof typeof messages, values?: Values) => string

export function speak(language: Language): Say {
  return (name, values = {}) =>
    messages[name][language].replace(/\{(\w+)\}/g, (place, key: string) => String(values[key] ?? place))
}

export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
