import type { FastifyReply } from 'fastify'
import type { AppError } from '../errors.ts'

/** Keeps the official clients from trying again within seconds what lasts: a quota comes back later, and room on a disk by hand. */
export function tellLasting(reply: FastifyReply, { code }: AppError): void {
  if (code === 'quota_exceeded' || code === 'storage_full') reply.header('x-should-retry', 'false')
}
