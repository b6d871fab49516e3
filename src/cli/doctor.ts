import { createClient } from '../client.ts'
import type { Config } from '../config.ts'
import { AppError } from '../errors.ts'
import { addressOf, type Context, configOf, environmentOf, writeLine } from './context.ts'
import { checkPlaces, checkProgram, createTell, type Finding, type Machine, type Status, type Tell } from './doctor-checks.ts'
import { doctorMessages } from './doctor-messages.ts'
import { checkProviders } from './doctor-providers.ts'
import { checkNeighbours } from './doctor-shared.ts'
import { fill } from './language.ts'
import { thisMachine } from './machine.ts'
import { messageOf } from './message-of.ts'

const neededNode = '24.16'

/** `doctor`: looks at everything that the service needs; exit code 1 when something is wrong. */
export async function runDoctor(context: Context, machine: Machine = thisMachine()): Promise<number> {
  const { terminal, flags, language } = context
  const findings = await examine(context, machine)
  if (flags.has('json')) writeLine(terminal.output, JSON.stringify(findings, null, 2))
  else for (const line of toLines(findings, context)) writeLine(terminal.output, line)
  const count = (status: Status) => findings.filter((finding) => finding.status === status).length
  if (!flags.has('json')) {
    const values = { ok: count('ok'), warn: count('warn'), fail: count('fail') }
    writeLine(terminal.output, `\n${fill(doctorMessages.summary, language, values)}`)
  }
  return count('fail') > 0 ? 1 : 0
}

async function examine(context: Context, machine: Machine): Promise<readonly Finding[]> {
  const tell = createTell(context.language)
  const program = await checkProgram(machine, neededNode, tell)
  const { config, findings } = readSettings(context, tell)
  if (config === undefined) return [...program, ...findings]
  return [
    ...program,
    ...findings,
    ...(await checkPlaces(machine, config, tell)),
    ...(await checkNeighbours(machine, config, tell)),
    ...(await checkProviders(config, environmentOf(context), tell)),
    ...(await checkService(context, machine, config, tell)),
  ]
}

function readSettings(context: Context, tell: Tell): { config: Config | undefined; findings: Finding[] } {
  try {
    return { config: configOf(context, { serves: true }), findings: [tell('settings', 'ok', 'settings')] }
  } catch (error) {
    if (!(error instanceof AppError && error.details)) throw error
    const wrong = error.details.map(({ field, expected, got }): Finding => {
      const { fix = '' } = tell('settings', 'fail', 'settings', {}, 'settingsFix')
      return { check: 'settings', status: 'fail', text: `${field}: ${expected}; ${got}`, fix }
    })
    return { config: undefined, findings: wrong }
  }
}

/** Who has the port: nobody, our own service (and is it ready?), or another program. */
async function checkService(
  context: Context,
  machine: Machine,
  { host, port, clientPort }: Config,
  tell: Tell,
): Promise<Finding[]> {
  const url = addressOf(host, port)
  const client = createClient({ baseUrl: url, fetch: context.fetch })
  const isOurs = await client.health().then(
    ({ status }) => status === 'ok',
    () => false,
  )
  if (isOurs) {
    const reason = await client.ready().then(() => undefined, messageOf)
    if (reason === undefined) return [tell('service', 'ok', 'service', { url })]
    return [tell('service', 'warn', 'serviceNotReady', { url, reason }, 'serviceNotReadyFix')]
  }
  const ports = await Promise.all([
    checkPort(machine, { host, port, env: 'PORT' }, tell),
    checkPort(machine, { host, port: clientPort, env: 'CLIENT_PORT' }, tell),
  ])
  return [...ports, tell('service', 'warn', 'serviceNone', { url }, 'serviceNoneFix')]
}

async function checkPort(
  machine: Machine,
  { host, port, env }: { host: string; port: number; env: string },
  tell: Tell,
): Promise<Finding> {
  const reason = await machine.whyPortBlocked(host, port)
  return reason === undefined
    ? tell('port', 'ok', 'port', { port })
    : tell('port', 'fail', 'portUsed', { port, reason, env }, 'portFix')
}

const signs: Readonly<Record<Status, string>> = { ok: '✓', warn: '!', fail: '✗' }
const colors: Readonly<Record<Status, string>> = { ok: '\u001b[32m', warn: '\u001b[33m', fail: '\u001b[31m' }

function toLines(findings: readonly Finding[], { terminal, environment }: Context): string[] {
  const isColored = terminal.output.isTTY === true && !environment.NO_COLOR
  return findings.flatMap(({ status, text, fix }) => {
    const sign = isColored ? `${colors[status]}${signs[status]}\u001b[0m` : signs[status]
    return [`${sign} ${text}`, ...(fix === undefined ? [] : [`    ${fix}`])]
  })
}
