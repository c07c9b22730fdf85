import { BlockList, isIP } from 'node:net'
import fp from 'fastify-plugin'
import type { FastifyRequest } from 'fastify'
import { ApiError } from '../errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered in clear text whatever `api.require_https` says: for probes, which bring no key. */
    probe?: boolean
  }
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Turns away, before any key is looked at, what came by a way or from a place that it must not come from. */
export default fp(async (app) => {
  let ranges: readonly string[] = []
  let allowed = new BlockList()

  app.addHook('onRequest', (request, reply, done) => {
    const { require_https: requireHttps, admin_from: adminFrom } = app.config.api
    // The outer request of an inner one has come in already; the inner one has no way of its own.
    if (requireHttps && request.outer === undefined && request.routeOptions.config.probe !== true && isExposed(request)) {
      noteExposedKey(request)
      done(new ApiError('forbidden', 'this server is reached by https alone: a key that was sent in clear text must be replaced'))
      return
    }
    // An inner request has the address of the outer one: admin tools are admin operations.
    if (adminFrom.length > 0 && isAdminOperation(request)) {
      if (ranges !== adminFrom) {
        ranges = adminFrom
        allowed = listOf(adminFrom)
      }
      if (!contains(allowed, request.ip)) {
        done(new ApiError('forbidden', 'admin operations are not allowed from this address'))
        return
      }
    }
    done()
  })

  app.addHook('onListen', async () => {
    const { tls_cert: cert, require_https: requireHttps } = app.config.api
    const open = app.addresses().map((listening) => typeof listening === 'string' ? listening : listening.address).filter((address) => !contains(loopback, address))
    if (cert === undefined && !requireHttps && open.length > 0) {
      app.log.warn({ addresses: open }, 'keys may arrive in clear text: set api.tls_cert and api.tls_key, or behind a proxy with TLS api.trust_proxy and api.require_https')
    }
  })
}, { name: 'admission', dependencies: ['audit', 'cluster', 'errors', 'inner', 'telemetry'] })

/** In clear text on any part of its way that we know of, unless all of it was on this machine. `ip` and `protocol` are a trusted proxy's word. */
function isExposed ({ protocol, ip, socket }: FastifyRequest): boolean {
  return protocol.toLowerCase() !== 'https' && !(contains(loopback, socket.remoteAddress) && contains(loopback, ip))
}

/** Who sent a key in clear text has shown it to the way: the operator must know, without the log showing it again. */
function noteExposedKey (request: FastifyRequest): void {
  const { headers: { authorization, 'x-api-key': apiKey }, server: { audit, digests } } = request
  const key = authorization?.replace(/^Bearer +/i, '') ?? apiKey
  if (typeof key === 'string' && key !== '') audit.note({ event: 'key_exposed', key: audit.nameOf(digests.ofKey(key)) }, request)
}

function isAdminOperation ({ is404, method, routeOptions: { config } }: FastifyRequest): boolean {
  return !is404 && method !== 'OPTIONS' && (config.access ?? 'admin') === 'admin'
}

/** IPv4 and its form inside IPv6 (`::ffff:10.0.0.1`) are one address to the list, on either side. */
function listOf (ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits] = range.split('/')
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return list
}

/** What is no address, as a proxy may write it, is in no list. */
function contains (list: BlockList, text = ''): boolean {
  // Link-local addresses carry the interface that they were seen on.
  const [address = ''] = text.split('%')
  const family = isIP(address)
  return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6')
}
