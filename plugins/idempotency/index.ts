import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ApiError } from '../../errors.ts'
import { claimOf, type Claim } from './claim.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The claim of a call with an Idempotency-Key; undefined without one. */
    claim: Claim | undefined
  }
  interface FastifyContextConfig {
    /** The operation keeps its own record of calls with an Idempotency-Key. */
    ownRecord?: true
    /** A call may have an Idempotency-Key; set here. */
    idempotent?: true
  }
}

/** `running` while the first call is at work (renewed, so that it ends with its instance), then its answer. */
type Record = { fingerprint: string } & ({ state: 'running', by: string } | { state: 'done', status: number, headers: { [name: string]: string }, body: string })

const runningMs = 30_000
const doneMs = 86_400_000
const kept = ['content-type', 'location', 'etag'] as const
const mine = Symbol('mine')
interface Held { [mine]?: { text: string, heart: NodeJS.Timeout } }

/** Makes a POST that is sent again with the same Idempotency-Key one effect with one answer, over all instances. */
export default fp(async (app) => {
  app.decorateRequest('claim')
  app.decorateRequest(mine)

  app.addHook('onRoute', (route) => {
    if (![route.method].flat().includes('POST') || route.schema?.hide === true || route.config?.bucket === 'mcp' || (route.config?.access ?? 'public') === 'public') return
    route.config = { ...route.config, idempotent: true }
    app.failWith(route, ['conflict', 'unprocessable', 'state_unavailable'])
    // After validation: a call that cannot succeed claims nothing.
    route.preHandler = [...[route.preHandler ?? []].flat(), route.config?.ownRecord === true ? note : claim]
    if (route.config?.ownRecord !== true) route.onSend = [...[route.onSend ?? []].flat(), settle]
  })

  async function note (request: FastifyRequest, reply: FastifyReply): Promise<void> {
    request.claim = claimOf(request, reply)
  }

  async function claim (request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const made = request.claim = claimOf(request, reply)
    if (made === undefined) return
    const { cluster, seal } = app
    const { place, fingerprint } = made
    const running = seal.close(JSON.stringify({ fingerprint, state: 'running', by: request.id } satisfies Record), place)
    if (await cluster.set(place, running, runningMs, { value: undefined })) {
      const heart = setInterval(() => { cluster.set(place, running, runningMs, { value: running }).catch(() => {}) }, runningMs / 3)
      heart.unref()
      ;(request as Held)[mine] = { text: running, heart }
      // The caller will come back for the answer, so it is finished also when the caller leaves.
      request.detached = true
      return
    }
    const found = await cluster.get(place)
    const text = found === undefined ? undefined : seal.open(found, place)
    const record = text === undefined ? undefined : JSON.parse(text) as Record
    if (record !== undefined && record.fingerprint !== fingerprint) throw new ApiError('unprocessable', 'this Idempotency-Key was used with another request')
    if (record?.state !== 'done') throw new ApiError('conflict', 'the first call with this Idempotency-Key is still at work', { retryAfter: 1 })
    made.replayed()
    return await reply.code(record.status).headers(record.headers).send(record.body)
  }

  async function settle (request: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<unknown> {
    const held = (request as Held)[mine]
    if (held === undefined) return payload
    clearInterval(held.heart)
    const { place, fingerprint } = request.claim!
    const status = reply.statusCode
    // What never reached the Core, or may be tried again, leaves no trace.
    if (status === 429 || status === 501 || status === 503 || (status >= 400 && status < 500) || typeof payload !== 'string') {
      await app.cluster.delete(place, { value: held.text }).catch(() => {})
      return payload
    }
    const headers = Object.fromEntries(kept.flatMap((name) => reply.hasHeader(name) ? [[name, String(reply.getHeader(name))]] : []))
    const record = { fingerprint, state: 'done', status, headers, body: payload } satisfies Record
    await app.cluster.keep(place, app.seal.close(JSON.stringify(record), place), doneMs).catch((error: unknown) => { request.log.warn({ err: error }, 'the answer could not be kept for its Idempotency-Key') })
    return payload
  }
}, { name: 'idempotency', dependencies: ['auth', 'cluster', 'errors', 'validation'] })
