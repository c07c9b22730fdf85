import { readFileSync, readdirSync } from 'node:fs'
import Fastify, { LogController, type FastifyInstance, type FastifyReply, type FastifyRequest, type FastifyServerOptions } from 'fastify'
import type { DestinationStream } from 'pino'
import pkg from './package.json' with { type: 'json' }
import type { Config } from './config.ts'
import { bodyOf, failureOf } from './errors.ts'
import admission from './plugins/admission.ts'
import arrival, { clientErrorHandler } from './plugins/arrival.ts'
import audit from './plugins/audit.ts'
import auth from './plugins/auth/index.ts'
import chat from './plugins/chat/index.ts'
import cluster from './plugins/cluster/index.ts'
import connections from './plugins/connections/index.ts'
import core from './plugins/core.ts'
import demo from './plugins/demo/index.ts'
import discovery from './plugins/discovery.ts'
import errors from './plugins/errors/index.ts'
import etag from './plugins/etag.ts'
import events from './plugins/events/index.ts'
import exclusive from './plugins/exclusive.ts'
import health from './plugins/health.ts'
import hosts from './plugins/hosts/index.ts'
import idempotency from './plugins/idempotency/index.ts'
import inner from './plugins/inner.ts'
import instances from './plugins/instances.ts'
import json from './plugins/json.ts'
import lists from './plugins/lists.ts'
import mcp from './plugins/mcp/index.ts'
import openapi from './plugins/openapi/index.ts'
import operations from './plugins/operations.ts'
import otlp from './plugins/otlp/index.ts'
import rateLimit from './plugins/rate-limit/index.ts'
import reload from './plugins/reload/index.ts'
import security from './plugins/security.ts'
import signaling from './plugins/signaling/index.ts'
import socket from './plugins/socket/index.ts'
import upgrades, { Message } from './plugins/socket/upgrades.ts'
import sse from './plugins/sse/index.ts'
import telemetry from './plugins/telemetry/index.ts'
import { createLogger } from './plugins/telemetry/logger.ts'
import { RequestLog } from './plugins/telemetry/request-log.ts'
import type { Tap } from './plugins/telemetry/tap.ts'
import { requestIdOf } from './plugins/telemetry/trace.ts'
import traces from './plugins/traces/index.ts'
import usage from './plugins/usage.ts'
import validation from './plugins/validation.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The settings in force: a frozen value, another one after a reload. What may change is read when it is used. */
    config: Readonly<Config>
    /** The version of this server; `version` is Fastify's. */
    release: string
  }
}

/** In order: each uses only those above it. */
const plugins = [
  errors,
  operations, // before every plugin that adds a route, so that it sees them all
  inner,
  telemetry, // before all that can refuse a request: a refusal has an id and a line, too
  upgrades, // before all that can refuse a request: a refused upgrade must close
  arrival,
  reload,
  security,
  json,
  validation,
  health,
  cluster,
  exclusive,
  core,
  audit,
  admission, // before a key is looked at
  auth,
  connections,
  instances,
  rateLimit, // after auth: limits count callers
  usage,
  lists,
  etag,
  idempotency,
  events,
  traces,
  otlp,
  sse,
  signaling,
  chat,
  socket,
  openapi,
  discovery, // before the routes that it looks at
  hosts,
  demo,
  mcp
]

/** Builds the server, not listening yet and without a word to the network. */
export async function buildApp (config: Readonly<Config>, destination?: DestinationStream): Promise<FastifyInstance> {
  const { api } = config
  const tap: Tap = { log: undefined, span: undefined }
  const app = Fastify({
    ...tlsOf(config),
    loggerInstance: createLogger(config, { service: pkg.name, version: pkg.version }, tap, destination),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    childLoggerFactory: (logger, { requestId }, options, raw) => new RequestLog(logger, raw, requestId),
    genReqId: requestIdOf,
    trustProxy: api.trust_proxy.length > 0 ? api.trust_proxy : false,
    bodyLimit: api.max_body,
    forceCloseConnections: true,
    return503OnClosing: true,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    routerOptions: { maxParamLength: 1_024 },
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      const failure = failureOf(error)
      reply.code(failure.statusCode).send(bodyOf(failure, request.id))
    },
    clientErrorHandler
  } as FastifyServerOptions)
  // Set here, since with HTTP/2 Fastify passes none of these on, and with HTTP/1.1 not all.
  Object.assign(app.server, timesOf(config))
  let current = config
  app.decorate('config', { getter: () => current, setter: (next) => { current = next } })
  app.decorate('release', pkg.version)
  app.decorate('tap', tap)

  for (const plugin of plugins) await app.register(plugin)
  const routes = readdirSync(new URL('routes/', import.meta.url)).filter((name) => /(?<!\.d)\.[jt]s$/.test(name)).sort()
  for (const name of routes) await app.register((await import(new URL(`routes/${name}`, import.meta.url).href)).default)
  return app
}

/** How long a connection may take for what. Node looks for those that are late every 30 s unless told otherwise. */
function timesOf ({ api: { request_timeout_ms: requestTimeout } }: Config): object {
  return {
    requestTimeout,
    headersTimeout: Math.min(10_000, requestTimeout),
    connectionsCheckingInterval: 500,
    // Longer than the idle time of the usual balancers, so that they close first.
    keepAliveTimeout: 65_000
  }
}

/** With a certificate: HTTP/2 and, by ALPN, HTTP/1.1 on the same port. */
function tlsOf ({ api: { tls_cert: cert, tls_key: key, tls_min_version: version } }: Config): object {
  if (cert === undefined || key === undefined) return { http: { IncomingMessage: Message } }
  // As much as HTTP/1.1 takes by default.
  const settings = { maxHeaderListSize: 16_384 }
  return { http2: true, https: { allowHTTP1: true, Http1IncomingMessage: Message, settings, cert: readFileSync(cert), key: readFileSync(key), minVersion: `TLSv${version}` } }
}
