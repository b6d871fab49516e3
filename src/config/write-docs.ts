// `npm run docs`: writes what is made from the code.
import { writeFile } from 'node:fs/promises'
import { settingsDocs } from './settings-docs.ts'

await writeFile('docs/settings.md', settingsDocs())
