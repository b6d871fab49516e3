import { expect, test } from 'vitest'
import { commands } from '../../src/cli/commands.ts'
import { datasetsMessages } from '../../src/cli/datasets-messages.ts'
import { docsEvalMessages } from '../../src/cli/docs-eval-messages.ts'
import { doctorMessages } from '../../src/cli/doctor-messages.ts'
import { evaluateMessages, stateNames as evaluationStateNames } from '../../src/cli/evaluate-messages.ts'
import { helpText } from '../../src/cli/help.ts'
import { keysMessages } from '../../src/cli/keys-messages.ts'
import { languageOf } from '../../src/cli/language.ts'
import { mergeMessages } from '../../src/cli/merge-messages.ts'
import { failures, messages, speak } from '../../src/cli/messages.ts'
import { predictionsMessages } from '../../src/cli/predictions-messages.ts'
import { quantizeMessages } from '../../src/cli/quantize-messages.ts'
import { rolloutMessages } from '../../src/cli/rollout-messages.ts'
import { stateNames, trainMessages } from '../../src/cli/train-messages.ts'
import type { Text } from '../../src/config/kinds.ts'
import { settingRows } from '../../src/config/settings.ts'

const placesOf = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort()

test('every text exists in both languages, with the same places', () => {
  const all: Array<[string, Text]> = Object.entries({
    ...messages,
    ...failures,
    ...doctorMessages,
    ...quantizeMessages,
    ...mergeMessages,
    ...docsEvalMessages,
    ...keysMessages,
    ...evaluateMessages,
    ...evaluationStateNames,
    ...predictionsMessages,
    ...datasetsMessages,
    ...trainMessages,
    ...stateNames,
    ...rolloutMessages,
  })
  for (const [name, { en, es }] of all) {
    expect(en, name).not.toBe('')
    expect(es, name).not.toBe('')
    expect(placesOf(es), name).toEqual(placesOf(en))
  }
})

test('every setting and command is explained in both languages', () => {
  for (const { en, es } of [...settingRows.map(([, { help }]) => help), ...commands.map(({ help }) => help)]) {
    expect([en, es].every((text) => text.endsWith('.') || text.endsWith('?'))).toBe(true)
    expect(es).not.toBe(en)
  }
})

test('the help names every command and every setting that may be a flag', () => {
  for (const language of ['en', 'es'] as const) {
    const help = helpText(undefined, language, speak(language))
    for (const { path } of commands) expect(help).toContain(path.join(' '))
    for (const [, { env, secret }] of settingRows) {
      expect(help.includes(`--${env.toLowerCase().replaceAll('_', '-')} `), env).toBe(!secret)
    }
  }
})

test('the help of a command has what may follow it, its flags with their values, and those of all', () => {
  for (const language of ['en', 'es'] as const)
    for (const command of commands) {
      const help = helpText(command, language, speak(language))
      expect(help).toContain([...command.path, ...command.arguments].join(' '))
      expect(help).toContain(command.help[language])
      for (const { name, value, help: meaning } of command.flags) {
        const [line] = help.split('\n').filter((one) => one.startsWith(`  --${[name, value ?? []].flat().join(' ')} `))
        expect([name, line]).toEqual([name, expect.stringMatching(/\S {2,}\S/)])
        expect(line?.endsWith(`  ${meaning[language]}`)).toBe(true)
      }
      expect(help).toContain('--help')
    }
})

test('the language is that of the first variable that says one', () => {
  expect(languageOf({ LANG: 'es_ES.UTF-8' })).toBe('es')
  expect(languageOf({ LC_ALL: 'en_US.UTF-8', LANG: 'es_ES.UTF-8' })).toBe('en')
  expect(languageOf({ LC_ALL: '', LC_MESSAGES: 'es', LANG: 'en' })).toBe('es')
  expect(languageOf({})).toBe('en')
})
