import type { Language } from './kinds.ts'
import { groups, type Setting } from './setting.ts'
import { flagOf, settingRows } from './settings.ts'

/** What stands for the default of a setting where people read about it. */
export function defaultOf(setting: Setting, language: Language): string {
  if (setting.defaultText !== undefined) return setting.defaultText[language]
  return setting.default === undefined ? { en: 'none', es: 'ninguno' }[language] : String(setting.default)
}

export const notUsedYet = { en: '(not used yet)', es: '(aún sin uso)' } as const

/** The text of docs/settings.md. */
export function settingsDocs(): string {
  const sections = Object.entries(groups).map(([group, { en }]) => {
    const rows = settingRows.filter(([, setting]) => setting.group === group).map(([, setting]) => rowOf(setting))
    return `## ${en}\n\n| Variable | Flag | Value | Default | Meaning |\n|---|---|---|---|---|\n${rows.join('\n')}\n`
  })
  return `${introduction}\n${sections.join('\n')}`
}

function rowOf(setting: Setting): string {
  const flag = setting.secret ? '–' : `\`${flagOf(setting)}\``
  const meaning = setting.planned ? `${setting.help.en} *${notUsedYet.en}*` : setting.help.en
  return `| \`${setting.env}\` | ${flag} | ${setting.kind.expected.en} | ${defaultOf(setting, 'en')} | ${meaning} |`
}

const introduction = `# Settings

<!-- Made from the settings table in src/config by "npm run docs". Do not edit by hand. -->

A setting comes from a flag (\`--port 9000\`), else from the environment (\`PORT=9000\`), else from the file \`.env\` in the folder
where simpleIA starts, else it has its default. A switch may stand alone (\`--local-only\`) or be turned around
(\`--no-allow-registration\`). Secrets have no flag, because other users of a machine can read the flags of a program;
a variable with \`_FILE\` at its end (\`SECRET_KEY_FILE=/run/secrets/secret_key\`) names a file that holds one, as container platforms give them.
All mistakes are told at once at the start. An empty value counts as none.

What can change while the service runs stands in \`config/config.json\`: \`{"selected_model": null, "provider": null}\`, where null is
what DEFAULT_MODEL and LLM_PROVIDER say. After an edit, \`./run_llm.sh admin reload\` makes the service read it again; \`POST /model\` and
\`models use\` write it. Beside it, \`providers.json\` holds further providers and routes ([cloud.md](cloud.md)), \`prices.json\` what they cost.
`
