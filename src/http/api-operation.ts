import type { Scope } from './server.ts'

export type JsonSchema = Readonly<{
  type?: string
  description?: string
  properties?: Readonly<Record<string, JsonSchema>>
  required?: readonly string[]
  items?: JsonSchema
  additionalProperties?: boolean | JsonSchema
  anyOf?: readonly JsonSchema[]
  oneOf?: readonly JsonSchema[]
  allOf?: readonly JsonSchema[]
  format?: string
  enum?: readonly string[]
  default?: unknown
}>
export type Content<Schema = JsonSchema> = Readonly<Record<string, Readonly<{ schema?: Schema; example?: unknown }>>>
export type ResponseObject = Readonly<{ $ref?: string; description?: string; headers?: object; content?: Content<object> }>
export type Parameter = Readonly<{ in: string; name: string; required?: boolean; description?: string; schema: JsonSchema }>
export type Operation = Readonly<{
  operationId?: string
  summary?: string
  description?: string
  tags?: readonly string[]
  parameters?: readonly Parameter[]
  requestBody?: Readonly<{ required: boolean; content: Content }>
  responses: Readonly<Record<string, ResponseObject>>
  security?: ReadonlyArray<Readonly<Record<string, readonly string[]>>>
  /** Who may call it, and what a key must be allowed; without it no key may. */
  'x-callers'?: Scope
  'x-key-scope'?: string
}>
/** Whose API an endpoint belongs to, if not our own. */
export const dialectOf = ({ tags = [] }: Operation) => tags.find((tag) => ['openai', 'anthropic', 'ollama'].includes(tag))
