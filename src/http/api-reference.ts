import type { ApiDocument } from './api-document.ts'
import { meaningOf } from './api-errors.ts'
import { tagDescriptions } from './api-facts.ts'
import type { Operation, Parameter } from './api-operation.ts'
import { constraintsOf, propertiesOf, type Readable, typeOf, withoutNull } from './schema-words.ts'

/** The text of docs/api.md. */
export function apiReference(document: ApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  )
  const sections = Object.entries(tagDescriptions).map(([tag, description]) => {
    const inTag = operations.filter(({ operation }) => operation.tags?.[0] === tag)
    return `## ${tag}\n\n${description}\n\n${inTag.map(endpoint).join('\n')}`
  })
  return `${introduction}\n${sections.join('\n')}`
}

type Endpoint = Readonly<{ path: string; method: string; operation: Operation }>

function endpoint({ path, method, operation }: Endpoint): string {
  const { summary = '', description, parameters = [], requestBody, responses } = operation
  const parts = [
    `### ${method} ${path}`,
    [summary.endsWith('?') || summary === '' ? summary : `${summary}.`, description ?? '']
      .filter((text) => text !== '')
      .join(' '),
    `*Who: ${callersOf(operation)}.*`,
    parameters.length === 0 ? '' : tableOf(parameters.map(toParameterRow)),
    ...bodiesOf(requestBody?.content ?? {}),
    Object.entries(responses)
      .filter(([status]) => Number(status) < 400)
      .map(([status, response]) => answerOf(status, response))
      .join('\n'),
    errorsOf(responses),
  ]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

function callersOf({ 'x-callers': callers = 'public', 'x-key-scope': scope, security = [] }: Operation): string {
  const who = {
    public: security.length === 0 ? 'anybody' : 'anybody on the same machine; from elsewhere who is signed in',
    caller: 'who is signed in, or anybody where `ALLOW_ANONYMOUS` is on',
    user: 'who is signed in',
    admin: 'admins',
  }[callers]
  if (callers === 'public' && security.length === 0) return who
  const keys = scope === undefined ? 'no API key' : scope === 'any' ? 'any API key' : `API keys with the scope \`${scope}\``
  return `${who}; ${keys}`
}

const heads = '| Name | Where | Type | Meaning |\n|---|---|---|---|'
const tableOf = (rows: readonly string[]) => `${heads}\n${rows.join('\n')}`

function toParameterRow({ name, in: place, required, schema, description }: Parameter): string {
  return row(name, `${place}${required === true ? ', required' : ''}`, schema, description)
}

function row(name: string, place: string, schema: Readable, description = schema.description ?? ''): string {
  const meaning = [description, constraintsOf(withoutNull(schema))].filter((text) => text !== '').join(' ')
  return `| \`${name}\` | ${place} | ${cell(typeOf(schema))} | ${cell(meaning)} |`
}

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

type Media = Readonly<{ schema?: Readable; example?: unknown }>

/** Forms of the body that have the same fields stand together. */
function bodiesOf(content: Readonly<Record<string, Media>>): readonly string[] {
  const types = new Map<string, string[]>()
  for (const [type, { schema }] of Object.entries(content)) {
    const fields = JSON.stringify(schema)
    types.set(fields, [...(types.get(fields) ?? []), type])
  }
  return [...types.values()].map((same) =>
    bodyOf(same.map((type) => `\`${type}\``).join(' or '), content[same.at(-1) ?? ''] ?? {}),
  )
}

function bodyOf(types: string, { schema = {}, example }: Media): string {
  const rows = propertiesOf(schema).map(({ name, required, schema: field }) =>
    row(name, required ? 'body, required' : 'body', field),
  )
  const text = example === undefined ? '' : `\n\n\`\`\`json\n${JSON.stringify(example)}\n\`\`\``
  const fields = rows.length === 0 ? ` ${typeOf(schema)}` : `\n\n${tableOf(rows)}`
  return `Body, ${types}:${fields}${types.includes('application/json') ? text : ''}`
}

function answerOf(status: string, { content = {} }: Operation['responses'][string]): string {
  const forms = Object.entries(content).map(([type, { schema = {} }]) => {
    const fields = propertiesOf(schema).map(({ name, required }) => `\`${name}${required ? '' : '?'}\``)
    return `\`${type}\`${fields.length === 0 ? '' : ` ${fields.join(', ')}`}`
  })
  return `- **${status}** ${forms.length === 0 ? 'without a body' : forms.join(' or ')}`
}

function errorsOf(responses: Operation['responses']): string {
  const failures = Object.keys(responses).filter((status) => Number(status) >= 400)
  return failures.length === 0 ? '' : `Errors: ${failures.join(', ')}`
}

const introduction = `# API

<!-- Made from the routes by "vitest run --project unit test/unit/api-docs.test.ts -u". Do not edit by hand. -->

Each endpoint with who may call it, what it takes, what it answers and how it can fail; \`GET /openapi.json\` says the same for programs,
and \`GET /docs\` shows it as a page. A token of a login goes into \`Authorization: Bearer …\` or comes with the cookie; an API key goes into the
same header or into \`x-api-key\` ([keys.md](keys.md)). Fields that are not named here are refused. Where a name is followed by \`?\`, it
may be missing. Errors have one shape for each API ([errors.md](errors.md)):

| Status | Meaning |
|---|---|
${Object.entries(meaningOf)
  .map(([status, meaning]) => `| ${status} | ${meaning} |`)
  .join('\n')}

Every answer has \`x-request-id\`; 429 and 503 have \`Retry-After\`. A path that is not here, or a method that a path has not, is answered with 404.
`
