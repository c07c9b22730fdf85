import fp from 'fastify-plugin'
import type { FastifyRequest } from 'fastify'
import type { Capability } from '../core/capabilities.ts'
import { CoreClient, type CallOptions } from '../core/client.ts'
import { CoreConnection } from '../core/connection.ts'
import type { CoreToken } from '../core/types.ts'
import { ApiError } from '../errors.ts'

/** The Core as one request sees it: on behalf of its caller, in its trace, ended when the caller goes away. */
export interface RequestCore {
  get: <T>(path: string, options?: Own) => Promise<T>
  post: <T>(path: string, body: unknown, options?: Own) => Promise<T>
  patch: <T>(path: string, body: unknown, options?: Own) => Promise<T>
  delete: <T>(path: string, options?: Own) => Promise<T>
  stream: (path: string, body: unknown, options?: Own) => Promise<AsyncIterable<CoreToken>>
}
type Own = Pick<CallOptions, 'user' | 'what'>

declare module 'fastify' {
  interface FastifyInstance { core: CoreConnection }
  interface FastifyRequest { readonly core: RequestCore }
  interface FastifyContextConfig {
    /** What the operation needs of the Core; a Core without it makes it 501. */
    capability?: Capability
  }
}

/** Holds the one client of the MUXI Core and what is known of that Core. */
export default fp(async (app) => {
  const { metrics, log, config } = app
  const client = new CoreClient(config.core, {
    onCall: ({ method, route, status, seconds }) => { metrics.core({ method, route, status }, seconds) },
    onMalformed: () => { metrics.coreMalformed.inc() },
    onAway: () => { if (core.state === 'up') core.check().catch(() => {}) }
  })
  const core = new CoreConnection(client, config.core, {
    onUp: (facts) => {
      metrics.coreUp.set(1)
      log.info({ core: config.core.uri, ...facts }, 'the MUXI Core is there')
    },
    onDown: (facts) => {
      metrics.coreUp.set(0)
      log.warn({ core: config.core.uri, ...facts }, 'the MUXI Core does not serve')
    }
  })
  app.decorate('core', core)
  app.health.add('core', () => core.reason)

  app.decorateRequest('core', {
    getter (this: FastifyRequest): RequestCore {
      const { caller, trace, gone: signal } = this
      const traceparent = `00-${trace.traceId}-${trace.spanId}-${trace.flags}`
      const options = (own?: Own): CallOptions => ({ caller, signal, traceparent, ...own })
      return {
        get: async (path, own) => await client.get(path, options(own)),
        post: async (path, body, own) => await client.post(path, body, options(own)),
        patch: async (path, body, own) => await client.patch(path, body, options(own)),
        delete: async (path, own) => await client.delete(path, options(own)),
        stream: async (path, body, own) => await client.stream(path, body, options(own))
      }
    }
  })

  app.addHook('preParsing', async ({ routeOptions: { config: { capability } } }) => {
    if (capability !== undefined && !core.offers(capability)) {
      throw new ApiError('not_implemented', `this MUXI Core does not offer ${capability}`, { details: { capability } })
    }
  })

  app.addHook('onClose', async () => {
    core.close()
    await client.close()
  })
}, { name: 'core', dependencies: ['telemetry', 'health'] })
