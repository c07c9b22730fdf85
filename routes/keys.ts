import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { ApiError } from '../errors.ts'
import { keyRevoke, streamTicketCreate, userTokenCreate } from '../schemas/keys.ts'

const ticketSeconds = 30

const keys: FastifyPluginAsyncTypebox = async (app) => {
  const { tokens, revoke } = app.keys

  app.post('/api/v1/user-tokens', { schema: userTokenCreate, config: { access: 'user' } }, async (request, reply) => {
    const { body: { user_id: claim, ttl_seconds: ttl, scope }, caller: { proof, keyDigest, tokenDigest } } = request
    if (tokenDigest !== undefined) throw new ApiError('forbidden', 'a token is made with a key, not with another token')
    const sub = request.userId(claim)
    const exp = secondsFromNow(ttl)
    const token = tokens.issue({ kind: 'user', key: proof, access: 'user', sub, scope, exp })
    if (token === undefined) throw new ApiError('not_implemented', 'user tokens are off: set MUXI_API_USER_TOKENS_SECRET', { details: { setting: 'api.user_tokens_secret' } })
    app.audit.note({ event: 'user_token_created', key: app.audit.nameOf(keyDigest), details: { user_id: sub, scope, ttl_seconds: ttl } }, request)
    return await reply.code(201).send({ token, user_id: sub, expires_at: timeOf(exp) })
  })

  app.post('/api/v1/stream-tickets', { schema: streamTicketCreate, config: { access: 'user' } }, async ({ caller: { proof, access, sub, scope } }, reply) => {
    const exp = secondsFromNow(ticketSeconds)
    // The caller is no stranger, so its level is no longer `public`.
    const ticket = tokens.issue({ kind: 'ticket', key: proof, access: access === 'admin' ? 'admin' : 'user', sub, scope, exp })!
    return await reply.code(201).send({ ticket, expires_at: timeOf(exp) })
  })

  app.post('/api/v1/auth/revocations', { schema: keyRevoke, config: { access: 'admin', signed: true } }, async (request) => {
    const { key, key_sha256: sha256 } = request.body
    const name = await revoke(key ?? Buffer.from(sha256!, 'hex'))
    app.audit.note({ event: 'key_revoked', key: name, details: { by: app.audit.nameOf(request.caller.keyDigest) } }, request)
    return { status: 'revoked' as const }
  })
}

function secondsFromNow (seconds: number): number {
  return Math.floor(Date.now() / 1_000) + seconds
}

function timeOf (seconds: number): string {
  return new Date(seconds * 1_000).toISOString()
}

export default keys
