import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Caller } from '../../core/credentials.ts'
import { ApiError, failureOf } from '../../errors.ts'
import { rank, type Access } from '../../schemas/contract.ts'
import { Attempts } from './attempts.ts'
import { anonymous, bearerOf, faultOfUser, holderOf, keyIn, userOf } from './caller.ts'
import { holdOpen } from './held.ts'
import { createJwtJudge } from './jwt.ts'
import { shareVerdicts } from './shared.ts'
import { Tokens, covers, type Grant } from './tokens.ts'
import { lagMs, Verdicts, type Yes } from './verdicts.ts'
import { verifySigned } from './webhook.ts'

declare module 'fastify' {
  interface FastifyInstance {
    keys: {
      tokens: Tokens
      /** Takes a key (itself, or its SHA-256) back at every instance and ends what is open under it; answers how the audit log names it. */
      revoke: (key: string | Buffer) => Promise<string>
    }
  }
  interface FastifyRequest {
    caller: Caller
    /** The end user this request is for: the one the key is bound to, else the client's word, else `"0"`. */
    userId: (claim?: string) => string
    /** Calls `end` when the caller's key is good no more; answers the function that lets go. */
    whileAllowed: (end: (reason: ApiError) => void) => () => void
  }
  interface FastifyContextConfig {
    access?: Access
    /** A page that cannot set headers may come with a ticket in the query. */
    ticket?: true
    /** Instead of a key of its level the body may be signed (Standard Webhooks). */
    signed?: true
  }
}

type Answer = Yes | 'refused' | undefined
/** What a request shows: a key, or a token made with one. */
interface Shown { key: string, digest: string, grant: Grant | undefined, tokenDigest: string | undefined }

// No Core has a key with blanks, control or non-ASCII characters; on the latter the real one fails with 500.
const form = /^[\x21-\x7e]{1,512}$/
const ticketMs = 120_000
/** How long readiness tells of the last call that was let in by an older verdict. */
const staleMs = 10_000

/** Names the caller of every request and turns away those below the route's level. */
export default fp(async (app) => {
  const { cluster, digests, metrics } = app
  const settings = () => app.config.api
  const ceiling = () => Math.max(settings().key_cache_stale_ms, settings().key_cache_stale_admin_ms) + lagMs
  const tokens = new Tokens(app, app.config.api.user_tokens_secret)
  const jwtVerdict = createJwtJudge(app.config.api, app.config.core)
  const shared = cluster.kind === 'memory' ? undefined : shareVerdicts(app, ceiling)
  const verdicts = new Verdicts({
    settings,
    shared,
    ask: async (key) => {
      const verdict = await jwtVerdict(key)
      return verdict === 'foreign' ? await app.core.accessOf(key) : verdict
    },
    onGone: (digest) => { held.end(digest, new ApiError('unauthorized', 'the key is valid no more')) }
  })
  const held = holdOpen(verdicts)
  const attempts = new Attempts({
    cluster,
    most: () => settings().key_attempts,
    digest: digests.ofKey,
    onBlock: (kind, { address, digest }, seconds) => { app.audit.note({ event: `${kind}_blocked`, address, key: app.audit.nameOf(digest), details: { seconds } }) }
  })
  /** Counts a verdict, and tells how long it took. */
  const telling = (source: 'cache' | 'core', verdict: 'yes' | 'no') => {
    const data = { source, verdict }
    const count = metrics.verdicts.labels(data)
    return (request: FastifyRequest, started: number) => {
      count.inc()
      request.spanned({ component: 'auth', operation: 'verify', started, data })
    }
  }
  const tell = { cache: { yes: telling('cache', 'yes'), no: telling('cache', 'no') }, core: { yes: telling('core', 'yes'), no: telling('core', 'no') } }

  app.decorate('keys', {
    tokens,
    revoke: async (key) => {
      const digest = typeof key === 'string' ? digests.ofKey(key) : digests.ofHash(key)
      const grant = typeof key === 'string' ? tokens.open(key) : undefined
      const forMs = Math.max(ceiling(), grant === undefined ? 0 : grant.exp * 1_000 - Date.now())
      verdicts.revoke(digest, forMs)
      await shared?.revoke(digest, forMs)
      return app.audit.nameOf(digest)
    }
  })
  app.decorateRequest('caller')
  app.decorateRequest('userId', userOf)
  app.decorateRequest('whileAllowed', function (this: FastifyRequest, end) {
    return held.add(this.caller, this.routeOptions.config.access ?? 'admin', end)
  })

  app.addHook('onRequest', (request, reply, done) => {
    const { is404, method, outer, routeOptions: { config } } = request
    const needed = is404 || method === 'OPTIONS' ? 'public' : config.access ?? 'admin'
    request.caller = anonymous
    if (needed === 'public' || (config.signed === true && request.headers['webhook-signature'] !== undefined)) {
      done()
      return
    }
    // What one request does for another is done by the same caller: its ticket would be used up by now.
    if (outer !== undefined) {
      done(enter(request, reply, outer.caller))
      return
    }
    const started = performance.now()
    const shown = shownBy(request)
    if (shown === undefined) {
      done(refuse(request))
      return
    }
    const known = verdicts.known(shown.key, shown.digest)
    // A key that is known needs no promise.
    if (known !== undefined && known !== 'refused' && shown.grant === undefined) {
      tell.cache.yes(request, started)
      if (known.stale) sayStale(reply)
      done(enter(request, reply, holderOf(shown.key, known.verdict, shown.digest)))
    } else judge(request, reply, shown, known, started).then(done, done)
  })

  /** The way of every key that is not at hand: blocks, the single use of a ticket, the Core. */
  async function judge (request: FastifyRequest, reply: FastifyReply, { key, digest, grant, tokenDigest }: Shown, known: Answer, started: number): Promise<ApiError | undefined> {
    const attempt = { address: request.ip, digest: tokenDigest ?? digest }
    let answer = known
    if (tokenDigest !== undefined && verdicts.isRevoked(tokenDigest)) answer = 'refused'
    if (answer === undefined || answer === 'refused') {
      await attempts.admit(attempt, answer === undefined && !verdicts.hasBeenGood(digest)).catch((error: unknown) => {
        app.audit.refused(request, 'blocked', attempt.digest)
        throw error
      })
      answer ??= await verdicts.ask(key, digest).catch((error: unknown) => {
        request.spanned({ component: 'auth', operation: 'verify', started, status: 'error', message: failureOf(error).code, data: { source: 'core', verdict: 'none' } })
        throw error
      }) ?? 'refused'
    }
    // Last, so that a ticket is not used up by a failure of ours.
    if (answer !== 'refused' && grant?.kind === 'ticket' && !await cluster.set(`ticket:${grant.id}`, '1', ticketMs, { value: undefined })) answer = 'refused'
    const caller = answer === 'refused' ? undefined : grant === undefined ? holderOf(key, answer.verdict, digest) : bearerOf(grant, answer.verdict, digest, tokenDigest!)
    const source = known === undefined ? 'core' : 'cache'
    tell[source][caller === undefined ? 'no' : 'yes'](request, started)
    if (caller === undefined) {
      await attempts.failed(attempt, known === undefined)
      return refuse(request, attempt.digest)
    }
    if (answer !== 'refused' && answer!.stale) sayStale(reply)
    return enter(request, reply, caller)
  }

  /** What can be looked at; undefined where there is nothing, or no key of any Core. */
  function shownBy (request: FastifyRequest): Shown | undefined {
    const takesTickets = request.routeOptions.config.ticket === true
    const { ticket } = request.query as { ticket?: unknown }
    const fromQuery = takesTickets && typeof ticket === 'string' ? ticket : undefined
    const text = keyIn(request) ?? fromQuery
    if (text === undefined) return undefined
    const grant = tokens.open(text)
    if (grant === undefined) return text === fromQuery || !form.test(text) ? undefined : { key: text, digest: digests.ofKey(text), grant, tokenDigest: undefined }
    // A ticket opens streams alone; a token in a URL would outlive it.
    const isInPlace = grant.kind === 'ticket' ? takesTickets : text !== fromQuery
    if (!isInPlace) return undefined
    return { key: grant.key, digest: digests.ofKey(grant.key), grant, tokenDigest: digests.ofKey(text) }
  }

  function enter (request: FastifyRequest, reply: FastifyReply, caller: Caller): ApiError | undefined {
    const { access: needed = 'admin' } = request.routeOptions.config
    const isHighEnough = rank[caller.access] >= rank[needed]
    request.caller = caller
    if (isHighEnough && covers(caller.scope, request.routeOptions.schema?.operationId ?? '')) return faultOfUser(request)
    reply.header('www-authenticate', `Bearer realm="muxi", error="insufficient_scope", scope="${needed}"`)
    app.audit.refused(request, 'level', caller.keyDigest)
    return new ApiError('forbidden', isHighEnough ? 'this token does not open this operation' : `this needs a key of level ${needed}`)
  }

  /** The same words whatever was wrong. */
  function refuse (request: FastifyRequest, digest?: string): ApiError {
    app.audit.refused(request, digest !== undefined ? 'unknown' : keyIn(request) === undefined ? 'missing' : 'malformed', digest)
    return new ApiError('unauthorized', 'invalid or missing API key: send the header Authorization: Bearer <key>')
  }

  let staleAt = -Infinity
  function sayStale (reply: FastifyReply): void {
    reply.header('x-auth-stale', '1')
    metrics.staleVerdicts.inc()
    staleAt = performance.now()
  }
  app.health.add('keys', () => performance.now() - staleAt < staleMs ? 'keys are let in by older verdicts: the MUXI Core cannot be asked' : undefined, { optional: true })

  verifySigned(app, attempts)
  const news = shared?.follow({
    onDenied: (digest) => { verdicts.deny(digest) },
    onRevoked: (digest, forMs) => { verdicts.revoke(digest, forMs) },
    onMissed: () => { verdicts.flush() }
  })
  app.addHook('onClose', async () => {
    held.close()
    news?.close()
  })
}, { name: 'auth', dependencies: ['audit', 'cluster', 'core', 'errors', 'health', 'inner', 'operations', 'reload', 'telemetry'] })
