import type { FastifyRequest } from 'fastify'
import type { Config } from '../../config.ts'
import { ApiError } from '../../errors.ts'

const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/

/**
 * Refuses what a web page may have sent behind its visitor's back (MCP, Security: Origin and DNS rebinding):
 * a foreign Origin always, a foreign Host where this server listens on loopback or knows its public name.
 */
export function checkOrigin ({ headers: { origin }, hostname }: FastifyRequest, { api }: Readonly<Config>): void {
  const ownHost = api.public_url === undefined ? undefined : new URL(api.public_url).hostname
  const local = loopback.test(api.host.includes(':') ? `[${api.host}]` : api.host)
  if ((local || ownHost !== undefined) && !loopback.test(hostname) && hostname !== ownHost) throw new ApiError('forbidden', 'this server is not known by that Host: set api.public_url')
  if (origin === undefined) return
  const host = URL.canParse(origin) ? new URL(origin).hostname : ''
  if (api.cors_origins.some((allowed) => allowed === origin || (allowed.endsWith(':*') && origin.startsWith(allowed.slice(0, -1))))) return
  if ((local && loopback.test(host)) || (ownHost !== undefined && host === ownHost)) return
  throw new ApiError('forbidden', 'pages of this Origin may not call: add it to api.cors_origins')
}
