import { hash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Embedders } from '../engine/embedder.ts'
import type { HostedModel, ModelHost } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import type { ModelFileFacts, ModelFiles } from '../models/model-files.ts'
import { eitherName, readEitherName, toTaggedName } from './ollama-border.ts'
import { ollamaErrors } from './ollama-error.ts'
import { optionsBody } from './ollama-options.ts'

export type OllamaModels = Readonly<{
  host: Pick<ModelHost, 'name' | 'list' | 'choose' | 'load' | 'unload'>
  embedders: Embedders
  files: ModelFiles
  /** The tokens of prompt and answer that a model gets which was trained on so many. */
  windowOf: (trainedContext: number) => number
  /** How long an unused model stays in memory; Infinity: for good. */
  keepAliveMs: number
  /** Milliseconds since 1970. */
  now: () => number
}>

/**
 * The version of Ollama whose API this is, as far as docs/ollama.md goes: clients ask for it, and refuse to work with one that is older
 * than what they use.
 */
const spokenVersion = '0.13.5'

const details = Type.Object({
  parent_model: Type.String(),
  format: Type.String(),
  family: Type.String(),
  families: Type.Array(Type.String()),
  parameter_size: Type.String(),
  quantization_level: Type.String(),
})

const named = { name: Type.String(), model: Type.String(), size: Type.Integer(), digest: Type.String(), details }
const tagsAnswer = Type.Object({ models: Type.Array(Type.Object({ ...named, modified_at: Type.String() })) })
const psAnswer = Type.Object({
  models: Type.Array(
    Type.Object({
      ...named,
      expires_at: Type.String(),
      size_vram: Type.Integer({ description: 'All of it where a GPU computes, else 0.' }),
      context_length: Type.Integer(),
    }),
  ),
})

const showBody = Type.Object(
  {
    ...eitherName,
    verbose: Type.Optional(Type.Literal(false)),
    system: Type.Optional(Type.Literal('')),
    template: Type.Optional(Type.Literal('')),
    options: Type.Optional(optionsBody),
  },
  { additionalProperties: false },
)

const showAnswer = Type.Object({
  modelfile: Type.String(),
  parameters: Type.String(),
  template: Type.String({ description: "The model's chat template (Jinja); empty where it has none." }),
  details,
  model_info: Type.Unsafe<Readonly<Record<string, unknown>>>({
    type: 'object',
    additionalProperties: true,
    description: 'What the header of the file says, lists aside. …context_length is what the model gets here.',
  }),
  capabilities: Type.Array(Type.String()),
  modified_at: Type.String(),
})

/** GET /api/tags, /api/ps and /api/version, and POST /api/show. */
export function serveModels(http: FastifyInstance, models: OllamaModels): void {
  const tags = ['ollama']
  const { host, files, now } = models
  const isUsable = ({ kind, problem }: HostedModel) => (kind === 'chat' || kind === 'embedding') && problem === undefined
  const describeAll = async (listed: readonly HostedModel[]) =>
    Promise.all(listed.map(async (model) => ({ model, facts: (await files.describe(model.base)) ?? noFacts(model) })))

  const list = { summary: 'List the installed models', tags, response: { 200: tagsAnswer, ...ollamaErrors } }
  http.get('/tags', { schema: list }, async () => {
    const all = await describeAll((await host.list()).filter(isUsable))
    return {
      models: all.flatMap(({ model, facts }) =>
        [model.name, ...model.aliases].map((name) => ({
          ...toNamed(name, model, facts),
          size: model.header?.sizeBytes ?? 0,
          modified_at: toTime(facts.modifiedAt),
        })),
      ),
    }
  })

  const ps = { summary: 'List the models in memory that answer', tags, response: { 200: psAnswer, ...ollamaErrors } }
  http.get('/ps', { schema: ps }, async () => {
    // An adapter has no memory of its own.
    const loaded = (await host.list()).filter(({ name, base, state }) => name === base && state === 'ready')
    return {
      models: (await describeAll(loaded)).map(({ model, facts }) => ({
        ...toNamed(model.name, model, facts),
        size: model.memoryBytes,
        expires_at: toTime(expiryOf(model, models.keepAliveMs, now())),
        size_vram: model.info === undefined || model.info.device === 'cpu' ? 0 : model.memoryBytes,
        context_length: model.info?.contextSize ?? 0,
      })),
    }
  })

  const version = { summary: 'The version of the API', tags, response: { 200: Type.Object({ version: Type.String() }) } }
  http.get('/version', { schema: version }, async () => ({ version: spokenVersion }))

  const show = { summary: 'Describe a model', tags, body: showBody, response: { 200: showAnswer, ...ollamaErrors } }
  http.post<{ Body: Static<typeof showBody> }>('/show', { schema: show }, (request) =>
    describe(models, readEitherName(request.body)),
  )
}

async function describe(models: OllamaModels, given: string) {
  const { files, windowOf } = models
  const model = await getModel(models, given)
  const { header, info } = model
  const [facts = noFacts(model), metadata] = await Promise.all([files.describe(model.base), files.readMetadata(model.base)])
  const template = String(metadata.get('tokenizer.chat_template') ?? '')
  const architecture = header?.architecture ?? ''
  return {
    modelfile: `# Of an installed model: there are no Modelfiles here.\nFROM ${model.name}\n`,
    parameters: '',
    template,
    details: toDetails(model),
    model_info: {
      ...Object.fromEntries([...metadata].filter(([key]) => key !== 'tokenizer.chat_template')),
      'general.architecture': architecture,
      'general.parameter_count': header?.parameters ?? 0,
      // Clients fit their prompts into it.
      [`${architecture}.context_length`]: info?.contextSize ?? windowOf(header?.trainedContext ?? 0),
    },
    capabilities: capabilitiesOf(model, template),
    modified_at: toTime(facts.modifiedAt),
  }
}

async function getModel({ host, embedders }: OllamaModels, given: string): Promise<HostedModel> {
  const all = await host.list()
  const find = (name: string) => all.find((model) => model.name === name || model.aliases.includes(name))
  const found = find(given) ?? find((await embedders.find(given))?.name ?? (await host.choose(given)).name)
  if (found === undefined)
    throw new AppError('not_found', `Nothing is known of the model ${JSON.stringify(given.slice(0, 100))}.`)
  return found
}

/** What a chat template can write says what its model was taught. */
function capabilitiesOf({ kind }: HostedModel, template: string): string[] {
  if (kind !== 'chat') return [kind]
  const tools = /\btools\b/.test(template) ? ['tools'] : []
  const thinking = /enable_thinking|<think>|reasoning_content|\bthinking\b/.test(template) ? ['thinking'] : []
  return ['completion', ...tools, ...thinking]
}

/** Of a model without a file that is known. */
const noFacts = ({ name }: HostedModel): ModelFileFacts => ({ modifiedAt: 0, digest: hash('sha256', name) })

function toNamed(name: string, model: HostedModel, { digest }: ModelFileFacts) {
  const tagged = toTaggedName(name)
  return { name: tagged, model: tagged, digest, details: toDetails(model) }
}

function toDetails({ header }: HostedModel): Static<typeof details> {
  const family = header?.architecture ?? ''
  return {
    parent_model: '',
    format: 'gguf',
    family,
    families: family === '' ? [] : [family],
    parameter_size: toCount(header?.parameters ?? 0),
    quantization_level: header?.quantization ?? '',
  }
}

/** `268.10M`, `8.0B`. */
function toCount(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)}B`
  if (count >= 1e6) return `${(count / 1e6).toFixed(2)}M`
  return count >= 1e3 ? `${Math.round(count / 1e3)}K` : String(count)
}

/** The last moment of Go's durations from 1970, which Ollama's clients read as "for ever". */
const never = 9_223_372_036_854

function expiryOf({ usedAt, active }: HostedModel, keepAliveMs: number, now: number): number {
  return Math.min(never, (active > 0 ? now : (usedAt ?? now)) + keepAliveMs)
}

const toTime = (milliseconds: number) => new Date(milliseconds).toISOString()
