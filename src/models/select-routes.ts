import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Selection } from '../config/selection.ts'
import { localOnlyError } from '../engine/cloud/egress.ts'
import type { Selected } from '../engine/providers.ts'
import { errorBody } from '../http/error-reply.ts'
import { type Answering, describeSelected, modelAnswer } from './selected-model.ts'

export type SelectOptions = Answering &
  Readonly<{
    /** Writes the choice, so that the next start makes it again. */
    saveSelection: (selection: Selection) => Promise<void>
  }>

export type SelectRoutesOptions = SelectOptions &
  Readonly<{
    /** Downloads a model that is named as on the hub and is not installed; does nothing for other names. */
    install: (name: string, signal: AbortSignal, user: string) => Promise<void>
    /**
     * Reads again what can change while the service runs: the choice, and what else there is, with what puts that in place. Throws
     * `invalid`, and what a model that cannot be chosen throws.
     */
    prepareReload: () => Promise<Readonly<{ selected: Selected; apply: () => Promise<void> }>>
    /** What the ledger of what leaves this machine calls who asks. */
    userOf: (request: FastifyRequest) => string
    /** Told who has made a choice, once it counts. */
    onSelect?: (user: string) => Promise<void>
  }>

const selectBody = Type.Object(
  {
    model_name: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 500,
        description:
          'Left out: the usual one of the provider. An installed name, an alias, BASE+ADAPTER, a path inside the models folder, or a name on the hub (owner/repository, with :QUANT if it matters), which is downloaded where it is not installed.',
      }),
    ),
    provider: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 50,
        description: '"hf" (default), or one that is configured. The model is one of its own then.',
      }),
    ),
  },
  { additionalProperties: false, minProperties: 1 },
)
type SelectBody = Static<typeof selectBody>

const tags = ['models']
const response = { 200: modelAnswer, '4xx': errorBody, '5xx': errorBody }

/** POST /model and POST /admin/reload, for the admin scope. */
export function selectRoutes(options: SelectRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const selectSchema = {
      summary: 'Load a model, then switch to it; a failed load keeps the old one',
      tags,
      body: selectBody,
      response,
    }
    http.post<{ Body: SelectBody }>('/model', { schema: selectSchema }, async (request) => {
      const { provider = options.host.name, model_name: name } = request.body
      const user = options.userOf(request)
      // Not given up with its caller: a download takes longer than many of them wait.
      if (provider === options.host.name && name !== undefined) await options.install(name, new AbortController().signal, user)
      await select(options, { provider, model: name })
      await options.onSelect?.(user)
      return describeSelected(options)
    })

    const reload = {
      summary: 'Read config.json, providers.json and prices.json in config/ again and switch to what they say',
      description: 'All of it or nothing: where a file is wrong, everything stays as it was.',
      tags,
      response,
    }
    http.post('/admin/reload', { schema: reload }, async (request) => {
      const { host, prepareReload } = options
      const { selected, apply } = await prepareReload()
      const { provider, model } = selected
      if (provider === host.name && model !== undefined && model !== host.selected()?.name) await host.select(model)
      await apply()
      await options.onSelect?.(options.userOf(request))
      return describeSelected(options)
    })
  }
}

/**
 * Makes a model the one that answers who names none, now and after the next start; undefined: the usual one of its provider. One of this
 * machine is loaded first. Throws where it cannot; the one before stays then.
 */
export async function select(options: SelectOptions, { provider, model }: Selected): Promise<void> {
  const { host, providers, localOnly, saveSelection } = options
  if (provider !== host.name) {
    if (localOnly && providers.find(provider)?.ranOn === 'cloud') throw localOnlyError(`the provider "${provider}"`)
    await providers.select(provider, model)
    return saveSelection({ selectedModel: model, provider })
  }
  const selectedModel = model === undefined ? host.selected()?.name : (await host.select(model)).name
  await providers.select(host.name, selectedModel)
  await saveSelection({ selectedModel, provider: host.name })
}
