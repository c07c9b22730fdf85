import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { buildApp } from './app.ts'
import type { Config, SettingsSource } from './config.ts'

/** Over how long the streams are ended, so that their clients do not all come to the other instances at once. */
const slicesMs = 5_000

/** A running server: where it listens, and how to end it. */
export interface Running { app: FastifyInstance, url: string, stop: () => Promise<void> }

/**
 * Builds, listens, then checks the Core; an instance whose Core must be there ends when it is not.
 * With a source of its settings it takes up what changes there.
 */
export async function start (config: Readonly<Config>, source?: SettingsSource): Promise<Running> {
  const app = await buildApp(config)
  if (source !== undefined) app.reload.follow(source)
  const { host, port } = config.api
  const idle = idleOf(app)
  await app.listen({ host, port, listenTextResolver: (address) => `listening on ${address}` })

  const checked = app.core.check()
  if (config.core.required && !await checked) {
    const reason = app.core.reason
    await app.close()
    throw new Error(`the MUXI Core at ${[config.core.uri, ...config.core.fallback_uris].join(', ')} does not pass the check: ${reason}`)
  }
  checked.catch(() => {})
  return { app, url: urlOf(app), stop: async () => { await stop(app, idle) } }
}

/** Not ready first, then no new connections, then the streams beside the running requests, then the rest. */
async function stop (app: FastifyInstance, idle: () => Promise<void>): Promise<void> {
  app.health.draining = true
  app.instances.tell().catch(() => {})
  app.log.info('stopping')
  app.server.close()
  const { drain_timeout_ms: ms } = app.config.api
  app.connections.drain(Math.min(slicesMs, ms / 2)).catch(() => {})
  // Tasks run without a request, and so do the chats of sockets.
  await Promise.race([Promise.all([idle(), app.mcp.idle(), app.sockets.idle()]), sleep(ms, undefined, { ref: false })])
  await app.close()
}

/**
 * Counts the requests; what it gives back resolves when none runs. A preClose hook would do, were it not for the 10 s that Fastify gives it.
 * A number, not a set of them: what an old set has held survives young collections, and doubles the cost of a request.
 */
function idleOf ({ server }: FastifyInstance): () => Promise<void> {
  let running = 0
  let onIdle = () => {}
  const ended = () => { if (--running === 0) onIdle() }
  server.on('request', (request, response: ServerResponse) => {
    running++
    response.once('close', ended)
  })
  return async () => {
    if (running > 0) await new Promise<void>((resolve) => { onIdle = resolve })
  }
}

function urlOf ({ server, config: { api } }: FastifyInstance): string {
  const address = server.address()
  const { port } = typeof address === 'object' && address !== null ? address : { port: api.port }
  const host = api.host.includes(':') ? `[${api.host}]` : api.host
  return `${api.tls_cert === undefined ? 'http' : 'https'}://${host}:${port}`
}
