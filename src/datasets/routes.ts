import { Readable } from 'node:stream'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { AppError } from '../errors.ts'
import { errorBody } from '../http/error-reply.ts'
import { clientGone } from '../http/event-stream.ts'
import { readForms } from '../http/forms.ts'
import { toAnswer, toItem, toPreviewAnswer, toRow } from './answers.ts'
import type { Datasets } from './datasets.ts'
import { type MakeDataset, type Maker, type Making, splitOptions } from './make-dataset.ts'
import { receiveUpload, type Upload } from './receive-upload.ts'
import {
  type DatasetBody,
  datasetAnswer,
  datasetBody,
  datasetPage,
  datasetPreview,
  exportQuery,
  listQuery,
  referenceParams,
  rowPage,
  rowsQuery,
} from './schema.ts'

export type DatasetRoutesOptions = Readonly<{
  datasets: Datasets
  make: MakeDataset
  receive: Omit<Parameters<typeof receiveUpload>[1], 'signal'>
}>

const tags = ['training']
const failures = { '4xx': errorBody, '5xx': errorBody }
type Params = Static<typeof referenceParams>

/** /datasets and what is below it, for the admin scope. */
export function datasetRoutes(options: DatasetRoutesOptions): Readonly<Record<'admin', FastifyPluginAsync>> {
  return {
    admin: async (http) => {
      await readForms(http)
      await http.register(makingRoutes(options))
      await http.register(readingRoutes(options.datasets))
    },
  }
}

function makingRoutes({ datasets, make, receive }: DatasetRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const schema = {
      summary: 'Make a dataset, or a new version of one',
      description:
        'A file as multipart/form-data (`file`, with the fields of the JSON body but `rows` and `from_feedback`), `rows` as JSON, or the ' +
        'feedback that `from_feedback` chooses. JSON lines, lists of objects, tables and lines of text are read in the formats chat, ' +
        'prompt-completion, alpaca, sharegpt, preference and text. What could not be read, and what was flagged, is in the report. With `preview` nothing is stored.',
      tags,
      consumes: ['multipart/form-data', 'application/json'],
      body: { content: { 'application/json': { schema: datasetBody } } },
      response: { 200: datasetPreview, 201: datasetAnswer, ...failures },
    }
    type Posted = FastifyRequest<{ Body: DatasetBody }>
    http.post<{ Body: DatasetBody }>('/datasets', { schema }, async (request: Posted, reply) => {
      const signal = clientGone(reply)
      const maker = { createdBy: userIdOf(request), signal }
      const { name, isPreview, makeWith } = request.isMultipart()
        ? ofUpload(await receiveUpload(request, { ...receive, signal }), maker)
        : ofBody(request.body, maker)
      if (isPreview) return toPreviewAnswer(name, await makeWith(make.preview))
      const made = toAnswer(await makeWith(make))
      reply.code(201)
      return made
    })

    const remove = {
      summary: 'Remove a version of a dataset; 409 while a training run names it',
      tags,
      params: referenceParams,
      response: { 204: Type.Null(), ...failures },
    }
    http.delete<{ Params: Params }>('/datasets/:id', { schema: remove }, async ({ params }, reply) => {
      await datasets.remove(params.id)
      return reply.code(204).send(null)
    })
  }
}

type Wanted = Readonly<{ name: string; isPreview: boolean; makeWith: <Made>(making: Making<Made>) => Promise<Made> }>

function ofUpload({ file, fileName, fields: { preview = false, format, ...fields } }: Upload, maker: Maker): Wanted {
  const given = { file, fileName, format, ...splitOptions(fields) }
  return { name: fields.name, isPreview: preview, makeWith: (making) => making.fromFile(given, maker) }
}

function ofBody({ rows, from_feedback: choice, format, preview = false, ...fields }: DatasetBody, maker: Maker): Wanted {
  const wanted = { name: fields.name, isPreview: preview }
  if (rows !== undefined && choice === undefined)
    return { ...wanted, makeWith: (making) => making.fromRows({ rows, format, ...splitOptions(fields) }, maker) }
  if (rows !== undefined || choice === undefined)
    throw new AppError('invalid', 'Send either "rows", or "from_feedback", or a file as multipart/form-data.')
  if (format !== undefined) throw new AppError('invalid', '"format" must be left out with "from_feedback".')
  return { ...wanted, makeWith: (making) => making.fromFeedback({ choice, ...splitOptions(fields) }, maker) }
}

function userIdOf({ caller }: FastifyRequest): string | null {
  return caller.type === 'user' ? caller.id : null
}

function readingRoutes(datasets: Datasets): FastifyPluginAsync {
  return async (http) => {
    const list = {
      summary: 'Versions of datasets, newest first',
      tags,
      querystring: listQuery,
      response: { 200: datasetPage, ...failures },
    }
    http.get<{ Querystring: Static<typeof listQuery> }>('/datasets', { schema: list }, async ({ query }) => {
      const { items, nextCursor } = await datasets.list(query)
      return { items: items.map(toItem), next_cursor: nextCursor ?? null }
    })

    const show = {
      summary: 'One dataset, with what was counted, left out and flagged',
      tags,
      params: referenceParams,
      response: { 200: datasetAnswer, ...failures },
    }
    http.get<{ Params: Params }>('/datasets/:id', { schema: show }, async ({ params }) => toAnswer(await datasets.get(params.id)))

    const rows = {
      summary: 'Rows of a dataset, in their order',
      tags,
      params: referenceParams,
      querystring: rowsQuery,
      response: { 200: rowPage, ...failures },
    }
    http.get<{ Params: Params; Querystring: Static<typeof rowsQuery> }>(
      '/datasets/:id/rows',
      { schema: rows },
      async ({ params, query }) => {
        const page = await datasets.listRows(await datasets.get(params.id), query)
        return { items: page.rows.map(toRow), next_cursor: page.nextCursor ?? null }
      },
    )

    const whole = {
      summary: 'A dataset as JSON lines, all of it or one split',
      tags,
      params: referenceParams,
      querystring: exportQuery,
    }
    http.get<{ Params: Params; Querystring: Static<typeof exportQuery> }>(
      '/datasets/:id/export',
      { schema: whole },
      async ({ params, query }, reply) => {
        const dataset = await datasets.get(params.id)
        const name = `${dataset.name}-${dataset.version}${query.split === undefined ? '' : `-${query.split}`}.jsonl`
        const disposition = `attachment; filename*=UTF-8''${encodeURIComponent(name)}`
        reply.type('application/x-ndjson').header('content-disposition', disposition)
        return reply.send(Readable.from(datasets.exportLines(dataset, query.split)))
      },
    )
  }
}
