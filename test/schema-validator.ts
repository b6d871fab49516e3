import { Ajv2020 } from 'ajv/dist/2020.js'
import draft7 from 'ajv/dist/refs/json-schema-draft-07.json' with { type: 'json' }
import addFormatsModule from 'ajv-formats'

/** Ajv with formats, for schemas of JSON Schema 2020-12 and of drafts that say so. */
export function createSchemaValidator() {
  // Only own properties: an object without "constructor" has none.
  const ajv = addFormatsModule.default(new Ajv2020({ strict: false, ownProperties: true, logger: false }))
  ajv.addMetaSchema(draft7)
  return ajv
}
