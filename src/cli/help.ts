import type { Language } from '../config/kinds.ts'
import { groups } from '../config/setting.ts'
import { flagOf, settingRows } from '../config/settings.ts'
import { defaultOf, notUsedYet } from '../config/settings-docs.ts'
import { type Command, commands } from './commands.ts'
import type { Say } from './messages.ts'

type Row = readonly [string, string]

/** The help of the program, or of one command. */
export function helpText(command: Command | undefined, language: Language, say: Say): string {
  const general: Row[] = [
    ['-h, --help', say('helpFlag')],
    ['-v, --version', say('versionFlag')],
  ]
  if (command !== undefined) {
    const usage = [...command.path, ...command.arguments].join(' ')
    const own = command.flags.map(({ name, value, help }): Row => [[`--${name}`, value ?? []].flat().join(' '), help[language]])
    return [say('usageOf', { command: usage }), '', command.help[language], '', section(say('flags'), [...own, ...general])].join(
      '\n',
    )
  }
  const rows = commands.map(({ path, arguments: words, help }): Row => [[...path, ...words].join(' '), help[language]])
  const settings = [
    `${say('settingFlags')}:`,
    ...Object.entries(groups).flatMap(([name, title]) => settingLines(name, title[language], language, say)),
  ]
  return [say('usage'), '', section(say('commands'), rows), section(say('flags'), general), settings.join('\n')].join('\n')
}

function settingLines(group: string, title: string, language: Language, say: Say): string[] {
  const shown = settingRows.map(([, setting]) => setting).filter((setting) => setting.group === group && !setting.secret)
  const rows = shown.map((setting): Row => {
    const note = setting.planned ? ` ${notUsedYet[language]}` : ''
    return [flagOf(setting), `${setting.help[language]}${note} (${say('defaultIs', { value: defaultOf(setting, language) })})`]
  })
  return ['', section(`  ${title}`, rows).trimEnd()]
}

function section(title: string, rows: readonly Row[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return `${title}:\n${rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`).join('\n')}\n`
}
