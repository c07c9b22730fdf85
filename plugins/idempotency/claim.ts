import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ApiError } from '../../errors.ts'

/** What an Idempotency-Key makes of a call: the place of its record, and a digest of all that it asks for. */
export interface Claim {
  place: string
  fingerprint: string
  /** Says in the answer that it is not the first one. */
  replayed: () => void
}

const form = /^[\x21-\x7e]{1,255}$/

/** Reads the header (draft-ietf-httpapi-idempotency-key-header-07: quoted or bare); undefined where there is none. Keys of one caller and route are their own. */
export function claimOf (request: FastifyRequest, reply: FastifyReply): Claim | undefined {
  const given = request.headers['idempotency-key'] ?? request.headers['x-muxi-idempotency-key']
  if (given === undefined) return undefined
  const key = typeof given === 'string' ? given.replace(/^"(.*)"$/, '$1') : ''
  if (!form.test(key)) throw new ApiError('bad_request', 'Idempotency-Key must be 1 to 255 visible characters', { details: { field: 'headers.idempotency-key' } })
  const { method, caller, routeOptions: { url = '' }, params, query, body, headers } = request
  const user = headers['x-muxi-user-id'] ?? headers['x-user-id'] ?? ''
  return {
    place: `idempotency:${digest([caller.digest, method, url, key])}`,
    fingerprint: digest([params, query, body ?? null, user]),
    replayed: () => { reply.header('idempotent-replayed', 'true') }
  }
}

function digest (value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url')
}
