import fp from 'fastify-plugin'
import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyRequest } from 'fastify'
import type { Caller } from '../../core/credentials.ts'
import type { Verdict } from '../../core/keys.ts'
import { ApiError } from '../../errors.ts'
import { rank, type Access } from '../../schemas/contract.ts'
import { Verdicts, type From } from './verdicts.ts'

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller
    /** The end user this request is for: the one the key is bound to, else the client's word, else `"0"`. */
    userId: (claim?: string) => string
  }
  interface FastifyContextConfig { access?: Access }
}

const anonymous: Caller = { key: '', access: 'public', digest: '' }
// No Core has a key with blanks, control or non-ASCII characters; on the latter the real one fails with 500.
const form = /^[\x21-\x7e]{1,512}$/
const userForm = /^[^\p{Cc}]{1,256}$/u

/** Names the caller of every request and turns away those below the route's level. */
export default fp(async (app) => {
  const verdicts = new Verdicts(app.secretFor('key digests'), app.config.api, async (key) => await app.core.accessOf(key))
  const counts = (source: From) => ({ yes: app.metrics.verdicts.labels({ source, verdict: 'yes' }), no: app.metrics.verdicts.labels({ source, verdict: 'no' }) })
  const counted = { cache: counts('cache'), core: counts('core') }

  app.decorateRequest('caller')
  app.decorateRequest('userId', userOf)

  app.addHook('onRequest', (request, reply, done) => {
    const needed = request.is404 || request.method === 'OPTIONS' ? 'public' : request.routeOptions.config.access ?? 'admin'
    if (needed === 'public') {
      request.caller = anonymous
      done()
      return
    }
    const key = keyIn(request.headers)
    if (key === undefined || !form.test(key)) {
      done(key === undefined ? new ApiError('unauthorized', 'send the header Authorization: Bearer <key>') : invalid())
      return
    }
    const digest = verdicts.digest(key)
    const admit = (verdict: Verdict | undefined, from: From): ApiError | undefined => {
      counted[from][verdict === undefined ? 'no' : 'yes'].inc()
      if (verdict === undefined) return invalid()
      const { access, sub } = verdict
      request.caller = { key, access, digest, sub }
      if (rank[access] >= rank[needed]) return undefined
      reply.header('www-authenticate', `Bearer realm="muxi", error="insufficient_scope", scope="${needed}"`)
      return new ApiError('forbidden', `this needs a key of level ${needed}`)
    }
    // A key that is known needs no promise.
    const known = verdicts.known(digest)
    if (known !== undefined) done(admit(known === 'refused' ? undefined : known, 'cache'))
    else verdicts.ask(key, digest).then((verdict) => { done(admit(verdict, 'core')) }, done)
  })
}, { name: 'auth', dependencies: ['cluster', 'core', 'errors', 'operations', 'telemetry'] })

/** The key of a request: `Authorization: Bearer`, else `X-API-Key`, which some MCP hosts can send alone. */
function keyIn ({ authorization, 'x-api-key': apiKey }: IncomingHttpHeaders): string | undefined {
  if (authorization === undefined) return typeof apiKey === 'string' ? apiKey : undefined
  return /^Bearer +(\S.*)$/i.exec(authorization)?.[1]
}

function invalid (): ApiError {
  return new ApiError('unauthorized', 'invalid or missing API key')
}

/** A bound key speaks for its own user alone, wherever another is named; e-mail addresses compare in lower case, as the Core folds them. */
function userOf (this: FastifyRequest, claim?: string): string {
  const { sub } = this.caller
  const header = this.headers['x-muxi-user-id'] ?? this.headers['x-user-id']
  // Header values arrive one character per byte.
  const named = header === undefined ? undefined : Buffer.from(String(header), 'latin1').toString()
  if (named !== undefined && !userForm.test(named)) throw new ApiError('bad_request', 'X-Muxi-User-Id must be 1 to 256 characters', { details: { field: 'headers.x-muxi-user-id' } })
  for (const said of [claim, named]) {
    if (sub !== undefined && said !== undefined && folded(sub) !== folded(said)) throw new ApiError('forbidden', 'this key belongs to another user')
  }
  return folded(claim ?? named ?? sub ?? '0')
}

function folded (user: string): string {
  return /^[^@\s]+@[^@\s]+$/.test(user) ? user.toLowerCase() : user
}
