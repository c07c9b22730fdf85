import type { FastifyInstance } from 'fastify'
import { buildApp } from './app.ts'
import type { Config } from './config.ts'

/** A running server: where it listens, and how to end it. */
export interface Running { app: FastifyInstance, url: string, stop: () => Promise<void> }

/** Builds, listens, then checks the Core; an instance whose Core must be there ends when it is not. */
export async function start (config: Readonly<Config>): Promise<Running> {
  const app = await buildApp(config)
  const { host, port, request_timeout_ms: requestTimeout } = config.api
  // With HTTP/2 Fastify passes none of these on.
  Object.assign(app.server, { requestTimeout, headersTimeout: Math.min(10_000, requestTimeout), keepAliveTimeout: 65_000 })
  await app.listen({ host, port, listenTextResolver: (address) => `listening on ${address}` })

  const checked = app.core.check()
  if (config.core.required && !await checked) {
    const reason = app.core.reason
    await app.close()
    throw new Error(`the MUXI Core at ${config.core.uri} does not pass the check: ${reason}`)
  }
  checked.catch(() => {})
  return { app, url: urlOf(app), stop: async () => { await stop(app) } }
}

/** Not ready first, then no new connections, then the running requests, then the rest. */
async function stop (app: FastifyInstance): Promise<void> {
  app.health.draining = true
  app.log.info('stopping')
  await app.close()
}

function urlOf ({ server, config: { api } }: FastifyInstance): string {
  const address = server.address()
  const { port } = typeof address === 'object' && address !== null ? address : { port: api.port }
  const host = api.host.includes(':') ? `[${api.host}]` : api.host
  return `${api.tls_cert === undefined ? 'http' : 'https'}://${host}:${port}`
}
