import fp from 'fastify-plugin'
import type { FastifyRequest } from 'fastify'
import { agentsOf, type Agents } from '../core/agents.ts'
import { templateOf, type Capability } from '../core/capabilities.ts'
import { CoreClient, type CallOptions } from '../core/client.ts'
import { CoreConnection } from '../core/connection.ts'
import { coreContexts, type Contexts } from '../core/context.ts'
import type { Actor } from '../core/credentials.ts'
import type { Leaving } from '../core/departure.ts'
import { listedMemories, type Memories } from '../core/memories.ts'
import { isContext, memoryContexts } from '../core/memory-context.ts'
import type { CallDetails, CoreCalls, CoreToken } from '../core/types.ts'
import { ApiError } from '../errors.ts'

/** The Core as one request sees it: on behalf of its caller, in its trace, ended when the caller goes away. */
export interface RequestCore extends CoreCalls {
  stream: (path: string, body: unknown, options?: CallDetails) => Promise<AsyncIterable<CoreToken>>
  /** Agents in one spelling, and what a formation declares of them. */
  readonly agents: Agents
  /** What is known of users: in the Core's own contexts, else in a marked memory of each. */
  readonly contexts: Contexts
  /** For a Core that lists memories, but does not search them. */
  readonly memories: Memories
}

declare module 'fastify' {
  interface FastifyInstance { core: CoreConnection }
  interface FastifyRequest { readonly core: RequestCore }
  interface FastifyContextConfig {
    /** What the operation needs of the Core; a Core without it makes it 501. */
    capability?: Capability
    /** What the operation uses where the Core offers it; a Core without it gives less. */
    prefers?: Capability
  }
}

const breakerStates = { closed: 0, half_open: 1, open: 2 } as const

/** Holds the one client of the MUXI Core and what is known of that Core. */
export default fp(async (app) => {
  const { metrics, log, settings } = app
  const lookAgain = () => { if (core.state === 'up') core.check().catch(() => {}) }
  const client = new CoreClient(settings.core, {
    onCall: ({ method, route, status, seconds }) => { metrics.core({ method, route, status }, seconds) },
    onMalformed: () => { metrics.coreMalformed.inc() },
    onAway: lookAgain,
    onRetry: (outcome) => { metrics.coreRetries.inc({ outcome }) },
    onRefused: () => { metrics.coreRefused.inc() },
    onBreaker: (target, state) => {
      metrics.coreBreaker.set({ target: target.name }, breakerStates[state])
      log.warn({ core: target.uri, breaker: state }, 'the breaker before the MUXI Core changes')
      if (state !== 'open') return
      metrics.coreBreakerOpened.inc({ target: target.name })
      lookAgain()
    }
  })
  const { targets, tls } = client.transport
  tls.onUnusable = (err) => { log.error({ err }, 'the renewed certificates for the MUXI Core are not used') }
  const tellTarget = () => { for (const target of targets) metrics.coreInUse.set({ target: target.name }, target === core.target ? 1 : 0) }
  const core = new CoreConnection(client, settings.core, {
    onUp: (facts) => {
      metrics.coreUp.set(1)
      log.info({ core: core.target.uri, ...facts }, 'the MUXI Core is there')
    },
    onDown: (facts) => {
      metrics.coreUp.set(0)
      log.warn({ core: core.target.uri, ...facts }, 'the MUXI Core does not serve')
    },
    onSwitch: ({ from, to, reason }) => {
      metrics.coreFailovers.inc({ to: to.name })
      tellTarget()
      log.warn({ from: from.uri, to: to.uri, reason }, 'calls go to another MUXI Core')
    }
  })
  tellTarget()
  for (const { name } of targets) metrics.coreBreaker.set({ target: name }, breakerStates.closed)
  metrics.onScrape(() => {
    for (const { name, use } of targets) for (const [state, count] of Object.entries(use)) metrics.coreConnections.set({ target: name, state }, count)
  })
  app.decorate('core', core)
  app.health.add('core', () => core.reason)

  app.decorateRequest('core', { getter (this: FastifyRequest): RequestCore { return new CallerCore(client, this) } })

  app.addHook('preParsing', ({ routeOptions: { config: { capability } } }, reply, payload, done) => {
    if (capability !== undefined) core.require(capability)
    done()
  })

  app.addHook('onClose', async () => {
    core.close()
    await client.close()
  })
}, { name: 'core', dependencies: ['exclusive', 'telemetry', 'health', 'reload'] })

/** A class, so that a request makes one small object and no functions. */
class CallerCore implements RequestCore {
  readonly #client: CoreClient
  readonly #request: FastifyRequest

  constructor (client: CoreClient, request: FastifyRequest) {
    this.#client = client
    this.#request = request
  }

  async get<T> (path: string, own?: CallDetails): Promise<T> {
    return await this.#client.get(path, this.#options('get', path, own))
  }

  async post<T> (path: string, body: unknown, own?: CallDetails): Promise<T> {
    return await this.#client.post(path, body, this.#options('post', path, own))
  }

  async patch<T> (path: string, body: unknown, own?: CallDetails): Promise<T> {
    return await this.#client.patch(path, body, this.#options('patch', path, own))
  }

  async delete<T> (path: string, own?: CallDetails): Promise<T> {
    return await this.#client.delete(path, this.#options('delete', path, own))
  }

  async stream (path: string, body: unknown, own?: CallDetails): Promise<AsyncIterable<CoreToken>> {
    return await this.#client.stream(path, body, this.#options('stream', path, own))
  }

  get agents (): Agents {
    return agentsOf(this)
  }

  get contexts (): Contexts {
    const { core, exclusively } = this.#request.server
    const own = (['read', 'create', 'update', 'delete'] as const).every((verb) => core.offers(`contexts.${verb}`))
    return own ? coreContexts(this) : memoryContexts(this, exclusively)
  }

  get memories (): Memories {
    return listedMemories(this, isContext)
  }

  #options (verb: Verb, path: string, own: CallDetails | undefined): CallOptions {
    const request = this.#request
    const branch = request.branch('core')
    if (own?.requestId !== undefined) request.knownAs(own.requestId, branch?.spanId)
    if (branch !== undefined) return new TracedCall(request, verb, path, own, branch)
    const { caller, departure, traceparent } = request
    return { caller, signal: own?.signal ?? departure, traceparent, user: own?.user, what: own?.what, ifMatch: own?.ifMatch }
  }
}

type Verb = keyof CoreCalls | 'stream'
const methods: Record<Verb, string> = { get: 'GET', post: 'POST', patch: 'PATCH', delete: 'DELETE', stream: 'POST' }

/** A call that has a place of its own in the trace, and is recorded there at its end. */
class TracedCall implements CallOptions {
  readonly caller: Actor
  readonly signal: Leaving
  readonly traceparent: string
  readonly user: string | undefined
  readonly what: string | undefined
  readonly ifMatch: string | undefined
  readonly #request: FastifyRequest
  readonly #verb: Verb
  readonly #path: string
  readonly #spanId: string
  readonly #started = performance.now()

  constructor (request: FastifyRequest, verb: Verb, path: string, own: CallDetails | undefined, { spanId, traceparent }: NonNullable<ReturnType<FastifyRequest['branch']>>) {
    this.caller = request.caller
    this.signal = own?.signal ?? request.departure
    this.traceparent = traceparent
    this.user = own?.user
    this.what = own?.what
    this.ifMatch = own?.ifMatch
    this.#request = request
    this.#verb = verb
    this.#path = path
    this.#spanId = spanId
  }

  onEnd (statusCode: number, failure?: unknown): void {
    const method = methods[this.#verb]
    const path = templateOf(this.#path)
    // What the Core refuses has gone well, and so has what its caller has left.
    const failed = failure !== undefined && !(failure instanceof ApiError && failure.statusCode < 500)
    this.#request.spanned({
      component: 'core',
      operation: this.#verb === 'stream' ? 'stream' : 'call',
      started: this.#started,
      status: failed ? 'error' : 'ok',
      message: `${method} ${path}`,
      data: { method, path, statusCode, error: failure instanceof ApiError ? failure.code : undefined },
      spanId: this.#spanId
    })
  }
}
