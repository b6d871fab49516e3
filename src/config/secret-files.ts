import { readFileSync } from 'node:fs'
import type { ErrorDetail } from '../errors.ts'
import type { Language, Text } from './kinds.ts'
import { settingRows } from './settings.ts'

const ending = '_FILE'
const readable: Text = { en: 'a file that can be read', es: 'un archivo que se pueda leer' }
const onlyOne: Text = { en: 'nothing, because {env} is set, too', es: 'nada, porque {env} también está puesto' }

/**
 * The secrets that stand in files, as container platforms hand them over: SECRET_KEY_FILE names the file of SECRET_KEY. Line breaks at the
 * end are not part of them. Mistakes name the file, never what is in it.
 */
export function readSecretFiles(given: Readonly<Record<string, string | undefined>>, language: Language) {
  const values: Record<string, string> = {}
  const mistakes: ErrorDetail[] = []
  for (const [, { env, secret }] of settingRows) {
    const path = given[env + ending]?.trim()
    if (!secret || path === undefined || path === '') continue
    const field = env + ending
    if (given[env]?.trim()) {
      mistakes.push({ field, expected: onlyOne[language].replace('{env}', env), got: JSON.stringify(path) })
      continue
    }
    try {
      values[env] = readFileSync(path, 'utf8').replace(/[\r\n]+$/, '')
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
      mistakes.push({ field, expected: readable[language], got: `${JSON.stringify(path)}${code}` })
    }
  }
  return { values, mistakes }
}
