import { deepEqual, ok } from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readSelection } from '../../src/config/selection.ts'
import { openSharedSelection } from '../../src/shared-selection.ts'
import type { RowsParts } from './rows-parts.ts'
import type { SavePath } from './save-paths.ts'

/** Which model answers: a file, and a row where many may read it. */
export function openSelectionPath({ db, instances, folder, log }: RowsParts): SavePath {
  const configFile = join(folder, 'config', 'config.json')
  const selection = openSharedSelection({ configFile }, { db, instances, log })
  return {
    name: 'selection',
    async check({ newest }) {
      const inFile = await readSelection(configFile)
      ok(newest.has(inFile?.selectedModel), `${inFile?.selectedModel} is selected instead of ${[...newest]}`)
      for (const { value } of await db.selectFrom('sharedState').select('value').where('name', '=', 'selection').execute())
        ok(newest.has(JSON.parse(value).model), `The others are told ${value} instead of ${[...newest]}`)
    },
    async save(name) {
      await selection.save({ provider: 'hf', selectedModel: name })
      deepEqual(await readdir(join(folder, 'config')), ['config.json'])
    },
  }
}
