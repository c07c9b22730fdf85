import { hash } from 'node:crypto'
import rateLimit from '@fastify/rate-limit'
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ApiError } from '../../errors.ts'
import { countHere, countTogether, isNear, type Use } from './counts.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Units of the caller's limit that one call costs; 1 when absent. */
    cost?: number
    /** Calls through MCP are counted in a bucket of their own. */
    bucket?: 'mcp'
    /** The answer itself can say that its caller has come to the limit: the operation looks at `request.limited`. */
    tellsLimit?: true
  }
  interface FastifyRequest {
    /** That the caller has come to its limit, where the operation is to say so. It must do no work then. */
    limited: ApiError | undefined
    /** Counts more units for what turns out to be more than one call; throws `rate_limited` where they are not left. */
    charge: (units: number) => Promise<void>
    /** What a count adds instead of the operation's cost. */
    units: number | undefined
    /** What is left of the limit, from the point on where the caller is warned. */
    nearLimit: { limit: number, remaining: number, reset_after: number } | undefined
  }
}

/** So much of a caller over its limit is still read, for the answer to tell it. */
const mostRead = 65_536

const windowMs = 60_000
type Done = (error: Error | null, result?: { current: number, ttl: number }) => void

/** Limits the units that a caller may use in a minute, and tells how many are left in every header style. */
export default fp(async (app) => {
  const here = countHere(windowMs)
  const add = app.cluster.kind === 'memory' ? here : countTogether(windowMs, async (caller, units, ms) => await app.cluster.add(`limit:${caller}`, units, ms), countHere(windowMs, () => app.cluster.size))
  /** The keys whose count has just reached 80 %: the shell does not hand that on. */
  const near = new Set<string>()
  /** What the shell asks for a count. It counts calls, so the key carries the cost: `6:<caller>`. */
  class Store {
    incr (key: string, done: Done, _: number, max: number): void {
      const [cost = '1'] = key.split(':', 1)
      const answer = ({ used, endsInMs, warns }: Use) => {
        if (warns) near.add(key)
        done(null, { current: used, ttl: endsInMs })
      }
      const result = add(key.slice(cost.length + 1), Number(cost), max)
      if (result instanceof Promise) result.then(answer, done)
      else answer(result)
    }

    child (): Store {
      return this
    }
  }
  await app.register(rateLimit, { global: false, store: Store as never, timeWindow: windowMs })
  const { metrics } = app

  const keyed = (scope: string, name: (request: FastifyRequest) => string, max: (request: FastifyRequest) => number) => ({
    scope,
    max,
    check: app.createRateLimit({ keyGenerator: (request) => `${request.units ?? request.routeOptions.config.cost ?? 1}:${scope}:${name(request)}`, max: (request) => max(request) })
  })
  // A name goes into the shared store as a digest; whoever is bound to none has no such limit.
  const subject = ({ caller: { sub } }: FastifyRequest) => sub === undefined ? '' : hash('sha256', sub, 'base64url')
  const ofSubject = (max: number, { caller: { sub } }: FastifyRequest) => sub === undefined ? 0 : max
  const factor = ({ caller }: FastifyRequest) => caller.access === 'admin' ? 10 : 1
  const limiters = {
    http: [
      keyed('key', ({ caller }) => caller.keyDigest, (request) => app.config.api.rate_limit * factor(request)),
      keyed('subject', subject, (request) => ofSubject(app.config.api.rate_limit_subject, request))
    ],
    mcp: [
      keyed('mcp', ({ caller }) => caller.keyDigest, () => app.config.api.rate_limit_mcp * 10),
      keyed('mcp-subject', subject, (request) => ofSubject(app.config.api.rate_limit_mcp, request))
    ]
  }

  app.decorateRequest('units')
  app.decorateRequest('charge', async function (this: FastifyRequest, units) {
    this.units = units
    for (const { scope, max, check } of limiters[this.routeOptions.config.bucket ?? 'http']) {
      if (max(this) === 0) continue
      const result = await check(this)
      if (result.isAllowed || !result.isExceeded) continue
      metrics.limited.inc({ scope })
      throw exceeded(result.max, result.ttl)
    }
  })
  app.decorateRequest('limited')
  app.decorateRequest('nearLimit')
  app.addHook('onRequest', async (request, reply) => {
    // The outer call of an inner one has been counted already.
    if (request.caller.access === 'public' || request.outer !== undefined) return
    let tightest: { scope: string, max: number, remaining: number, ttl: number, exceeded: boolean } | undefined
    for (const { scope, max, check } of limiters[request.routeOptions.config.bucket ?? 'http']) {
      if (max(request) === 0) continue
      const result = await check(request)
      if (result.isAllowed) continue
      if (near.delete(result.key)) request.log.warn({ scope, limit: result.max, caller: request.caller.access, digest: request.caller.keyDigest }, 'a caller has used 80 % of a limit')
      const limit = { scope, max: result.max, remaining: result.remaining, ttl: result.ttl, exceeded: result.isExceeded }
      if (tightest === undefined || limit.exceeded || (!tightest.exceeded && limit.remaining / limit.max < tightest.remaining / tightest.max)) tightest = limit
    }
    if (tightest === undefined) return
    tell(reply, tightest)
    const seconds = Math.ceil(tightest.ttl / 1_000)
    if (isNear(tightest.max - tightest.remaining, tightest.max)) request.nearLimit = { limit: tightest.max, remaining: tightest.remaining, reset_after: seconds }
    if (!tightest.exceeded) return
    metrics.limited.inc({ scope: tightest.scope })
    const failure = exceeded(tightest.max, tightest.ttl)
    if (request.routeOptions.config.tellsLimit !== true || !(Number(request.headers['content-length']) <= mostRead)) throw failure
    request.limited = failure
    reply.header('retry-after', seconds)
  })
}, { name: 'rate-limit', dependencies: ['auth', 'cluster', 'errors', 'inner', 'telemetry'] })

function exceeded (max: number, ttl: number): ApiError {
  const seconds = Math.ceil(ttl / 1_000)
  return new ApiError('rate_limited', `more than ${max} units in a minute; come back in ${seconds} s`, { retryAfter: seconds, details: { limit: max, retry_after: seconds } })
}

/** The same count in the spelling of older clients and in that of draft-ietf-httpapi-ratelimit-headers. */
function tell (reply: FastifyReply, { scope, max, remaining, ttl }: { scope: string, max: number, remaining: number, ttl: number }): void {
  reply.headers({
    'x-ratelimit-limit': max,
    'x-ratelimit-remaining': remaining,
    'x-ratelimit-reset': Math.ceil((Date.now() + ttl) / 1_000),
    'ratelimit-policy': `"${scope}";q=${max};w=${windowMs / 1_000}`,
    ratelimit: `"${scope}";r=${remaining};t=${Math.ceil(ttl / 1_000)}`
  })
  if (isNear(max - remaining, max)) reply.header('x-ratelimit-warning', 'true')
}
