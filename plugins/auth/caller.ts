import type { FastifyRequest } from 'fastify'
import type { Caller } from '../../core/credentials.ts'
import type { Verdict } from '../../core/keys.ts'
import { ApiError } from '../../errors.ts'
import { rank } from '../../schemas/contract.ts'
import type { Grant } from './tokens.ts'

/** Whoever calls what is open to all. */
export const anonymous: Caller = { key: '', access: 'public', digest: '', keyDigest: '', proof: '' }

const userForm = /^[^\p{Cc}]{1,256}$/u

/** The key of a request: `Authorization: Bearer`, else `X-API-Key`, which some MCP hosts can send alone. */
export function keyIn ({ headers: { authorization, 'x-api-key': apiKey } }: FastifyRequest): string | undefined {
  if (authorization === undefined) return typeof apiKey === 'string' ? apiKey : undefined
  return /^Bearer +(\S.*)$/i.exec(authorization)?.[1]
}

/** Who shows a key that the Core says yes to. */
export function holderOf (key: string, { access, sub, foreign }: Verdict, keyDigest: string): Caller {
  return { key: foreign === true ? '' : key, access, digest: keyDigest, keyDigest, proof: key, sub }
}

/** Who shows a token: never above its key, and the Core is called with the server's own keys. undefined: the key belongs to another user by now. */
export function bearerOf (grant: Grant, { access, sub }: Verdict, keyDigest: string, tokenDigest: string): Caller | undefined {
  if (sub !== undefined && grant.sub !== undefined && folded(sub) !== folded(grant.sub)) return undefined
  const bound = grant.sub ?? sub
  return {
    key: '',
    access: rank[grant.access] < rank[access] ? grant.access : access,
    digest: bound === undefined ? keyDigest : `${keyDigest}:${bound}`,
    keyDigest,
    tokenDigest,
    proof: grant.key,
    sub: bound,
    scope: grant.scope
  }
}

/** The user that a header names; whatever comes of it, it must be one. */
export function faultOfUser (request: FastifyRequest): ApiError | undefined {
  const named = userNamedIn(request)
  return named === undefined || userForm.test(named) ? undefined : new ApiError('bad_request', 'X-Muxi-User-Id must be 1 to 256 characters', { details: { field: 'headers.x-muxi-user-id' } })
}

function userNamedIn ({ headers }: FastifyRequest): string | undefined {
  const header = headers['x-muxi-user-id'] ?? headers['x-user-id']
  // Header values arrive one character per byte.
  return header === undefined ? undefined : Buffer.from(String(header), 'latin1').toString()
}

/** A bound key speaks for its own user alone, wherever another is named. From then on the user is part of the trace. */
export function userOf (this: FastifyRequest, claim?: string): string {
  const { sub } = this.caller
  const named = userNamedIn(this)
  for (const said of [claim, named]) {
    if (sub !== undefined && said !== undefined && folded(sub) !== folded(said)) throw new ApiError('forbidden', 'this key belongs to another user')
  }
  return this.trace.userId = folded(claim ?? named ?? sub ?? '0')
}

/** E-mail addresses compare in lower case, as the Core folds them. */
function folded (user: string): string {
  return /^[^@\s]+@[^@\s]+$/.test(user) ? user.toLowerCase() : user
}
