import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../../config.ts'
import { ApiError } from '../../errors.ts'

const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/
const keyForm = /^[+/0-9A-Za-z]{22}==$/
const version = '13'
/** Where a request keeps the headers of its 101, which the package writes. */
export const answered = Symbol('headers of the answer')
/** Of the headers that every answer has, those that say something to a program. */
const told = /^(?:x-request-id|x-trace-id|x-auth-stale|(?:x-)?ratelimit.*)$/
/** How others spell a key in a query. */
const keysInQuery = ['api_key', 'apikey', 'key', 'token', 'access_token', 'authorization']

/** The subprotocols that a client offers; what is none is left out. */
function offered (header: unknown): string[] {
  return typeof header === 'string' ? header.split(',').map((one) => one.trim()) : []
}

export function offers (header: unknown, name: string): boolean {
  return offered(header).includes(name)
}

/** The key of a page, which can set no header but this one: `bearer.<key>` among its subprotocols. */
export function bearerIn (header: unknown): string | undefined {
  return offered(header).find((one) => one.startsWith('bearer.'))?.slice('bearer.'.length)
}

/** A key in the address is not taken, however good it is: it is in the logs of every proxy by now. */
export function refusalOf ({ query }: FastifyRequest): ApiError | undefined {
  const named = keysInQuery.find((name) => Object.hasOwn(query as object, name))
  return named === undefined ? undefined : new ApiError('unauthorized', `a key is not taken from the query, for addresses end in logs: send it as Authorization: Bearer <key>, or as the subprotocol bearer.<key> beside muxi.v1, or a ticket as ?ticket= (not ${named})`)
}

/** Refuses an upgrade that a page may have asked for behind its visitor's back, and one that is none of RFC 6455. */
export function checkUpgrade (request: FastifyRequest, reply: FastifyReply): void {
  if (!request.ws) return
  const { headers, server: { config } } = request
  checkOrigin(request, config)
  if (headers['sec-websocket-version'] !== version) {
    reply.header('sec-websocket-version', version)
    throw upgradeRequired(request, reply, `this server speaks version ${version} of WebSocket alone`)
  }
  if (!keyForm.test(String(headers['sec-websocket-key']))) throw new ApiError('bad_request', 'headers.sec-websocket-key must be 16 bytes in base64')
  Object.assign(request.raw, { [answered]: Object.entries(reply.getHeaders()).filter(([name]) => told.test(name)).map(([name, value]) => `${name}: ${String(value)}`) })
}

/** The same for whoever asks for no upgrade. */
export function upgradeRequired ({ raw, ws }: FastifyRequest, reply: FastifyReply, message = 'this is a WebSocket: connect to it as one, over HTTP/1.1'): ApiError {
  // HTTP/2 knows neither header.
  if (raw.httpVersionMajor === 1) reply.header('upgrade', 'websocket').header('connection', ws ? 'upgrade, close' : 'upgrade')
  return new ApiError('upgrade_required', message)
}

/** A page's Origin is this server's own, or listed. Programs send none. */
function checkOrigin ({ headers: { origin }, host, hostname }: FastifyRequest, { api }: Readonly<Config>): void {
  if (origin === undefined) return
  if (api.cors_origins.some((allowed) => allowed === origin || (allowed.endsWith(':*') && origin.startsWith(allowed.slice(0, -1))))) return
  const from = URL.canParse(origin) ? new URL(origin) : undefined
  const isLocal = loopback.test(api.host.includes(':') ? `[${api.host}]` : api.host)
  if (from !== undefined && isOwn(from, { isLocal, host, hostname, publicUrl: api.public_url })) return
  throw new ApiError('forbidden', 'pages of this Origin may not open a socket: add it to api.cors_origins')
}

/** A name that anybody may point at this machine (DNS rebinding) is not its own for being asked for. */
function isOwn (from: URL, { isLocal, host, hostname, publicUrl }: { isLocal: boolean, host: string, hostname: string, publicUrl: string | undefined }): boolean {
  if (publicUrl !== undefined && new URL(publicUrl).host === from.host) return true
  if (isLocal && loopback.test(from.hostname)) return true
  return publicUrl === undefined && from.host === host && (!isLocal || loopback.test(hostname))
}
