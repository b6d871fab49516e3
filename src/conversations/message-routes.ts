import { setTimeout } from 'node:timers/promises'
import type { FastifyPluginAsync, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import type { Static } from 'typebox'
import { errorBody, toAppError, toErrorBody } from '../http/error-reply.ts'
import { clientGone, formatEvent, sendEventStream, withHeartbeats } from '../http/event-stream.ts'
import type { Asker } from '../predict/predict.ts'
import type { Answering } from './answering.ts'
import type { Messages } from './messages.ts'
import type { Owners } from './owner.ts'
import {
  begunAnswer,
  byConversation,
  byMessage,
  type MessageEvent,
  messageAnswer,
  messagesPage,
  messagesQuery,
  type NewAnswer,
  type NewMessage,
  newAnswer,
  newMessage,
} from './schema.ts'

export type MessageRoutesOptions = Readonly<{
  owners: Owners
  messages: Pick<Messages, 'page' | 'add'>
  answering: Pick<Answering, 'begin' | 'follow' | 'stop'>
  askerOf: (request: FastifyRequest) => Asker
  /** Counts a request to the model. */
  limit: onRequestAsyncHookHandler
}>

/** A model may take minutes to load. */
const silenceMs = 15_000

const tags = ['conversations']
const failures = { '4xx': errorBody, '5xx': errorBody }
type ById = { Params: Static<typeof byConversation> }
type ByMessage = { Params: Static<typeof byMessage> }

/** The messages of a conversation and the answers in it, for the caller scope. */
export function messageRoutes(options: MessageRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    await http.register(keptRoutes(options))
    await http.register(answerRoutes(options))
    await http.register(eventRoutes(options))
  }
}

function keptRoutes({ owners, messages }: MessageRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const listing = {
      tags,
      summary: 'The messages of one branch of a conversation, oldest first: its last ones, or those before one',
      params: byConversation,
      querystring: messagesQuery,
      response: { 200: messagesPage, ...failures },
    }
    http.get<ById & { Querystring: Static<typeof messagesQuery> }>(
      '/conversations/:id/messages',
      { schema: listing },
      (request) => messages.page(owners.find(request), request.params.id, request.query),
    )

    const adding = {
      tags,
      summary: 'Keep a message that nobody is to answer: the result of a tool, or a corrected answer',
      params: byConversation,
      body: newMessage,
      response: { 201: messageAnswer, ...failures },
    }
    http.post<ById & { Body: NewMessage }>('/conversations/:id/messages', { schema: adding }, async (request, reply) => {
      const added = await messages.add(owners.find(request), request.params.id, request.body)
      reply.code(201)
      return added
    })
  }
}

function answerRoutes({ owners, answering, askerOf, limit }: MessageRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const beginning = {
      tags,
      summary: 'Have a question answered, or one that is there once more',
      description:
        'The answer is written on the service, whoever listens: follow its events. What goes wrong stands in its `error`.',
      params: byConversation,
      body: newAnswer,
      response: { 202: begunAnswer, ...failures },
    }
    const options = { schema: beginning, onRequest: limit }
    http.post<ById & { Body: NewAnswer }>('/conversations/:id/answers', options, async (request, reply) => {
      const by = { owner: owners.findAndKeep(request, reply), asker: askerOf(request) }
      const begun = await answering.begin(by, request.params.id, request.body)
      reply.code(202)
      return begun
    })

    const stopping = {
      tags,
      summary: 'Stop an answer where it is',
      params: byMessage,
      response: { 200: messageAnswer, ...failures },
    }
    http.post<ByMessage>('/conversations/:id/messages/:message_id/stop', { schema: stopping }, (request) =>
      answering.stop(owners.find(request), request.params.id, request.params.message_id),
    )
  }
}

function eventRoutes({ owners, answering }: MessageRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const following = {
      tags,
      summary: 'Follow an answer that is being written, from all that is there on',
      description:
        'text/event-stream; the data of each event is a JSON object with its `type`: first `snapshot` with {message}, then `waiting`, ' +
        '`text`, `reasoning`, `tool-call`, `tool-arguments` and `sources` as they come, at last `end` with {message}. ' +
        'Whoever lost the connection asks again.',
      params: byMessage,
      response: failures,
    }
    http.get<ByMessage>('/conversations/:id/messages/:message_id/events', { schema: following }, async (request, reply) => {
      const gone = clientGone(reply)
      const { id, message_id: messageId } = request.params
      const events = await answering.follow(owners.find(request), id, messageId, gone)
      await sendEventStream(reply, {
        frames: withHeartbeats(toFrames(events), (signal) => setTimeout(silenceMs, undefined, { signal })),
        gone,
        toAppError: (error) => toAppError(error, request.log),
        formatFailure: (error) => formatEvent(JSON.stringify(toErrorBody(error)), 'error'),
      })
      return reply
    })
  }
}

async function* toFrames(events: AsyncIterable<MessageEvent>): AsyncGenerator<string> {
  for await (const event of events) yield formatEvent(JSON.stringify(event), event.type)
}
