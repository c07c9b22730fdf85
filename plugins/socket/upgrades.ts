import { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import websocket from '@fastify/websocket'
import fp from 'fastify-plugin'
import { chatBytes } from '../../schemas/chat.ts'
import { subprotocol } from '../../schemas/socket.ts'
import { answered, bearerIn, offers, refusalOf } from './entry.ts'

export const path = '/api/v1/ws'

declare module 'fastify' {
  interface FastifyInstance {
    /** Ends the connections that asked to become sockets, whatever has become of them. */
    endUpgrades: () => void
  }
}

/** How long a client may take to close its side; it may be asleep. */
const farewellMs = 2_000
/** So many pieces of one message, or of one frame, are kept at most: each costs memory beyond its bytes. */
const mostFragments = 4_096
const mostChunks = 32_768

/**
 * A request that asks for an upgrade only where there is one to be had: Node would take every `Upgrade` for one, and lose the bodies of
 * clients that offer h2c with an ordinary request, as those of Java do.
 */
export class Message extends IncomingMessage {
  declare asks: boolean | undefined

  get upgrade (): boolean {
    if (this.asks !== true) return false
    const { method, url = '', headers } = this
    return method === 'CONNECT' || (method === 'GET' && (url === path || url.startsWith(`${path}?`)) && headers.upgrade?.toLowerCase() === 'websocket')
  }

  set upgrade (asks: boolean) { this.asks = asks }
}

/** Lets requests for a socket go the way of all requests, up to the upgrade. Before every plugin that can refuse one: the package closes the connection of who is refused. */
export default fp(async (app) => {
  const open = new Set<Duplex>()
  app.server.prependListener('upgrade', (raw: IncomingMessage, socket: Duplex) => {
    open.add(socket)
    socket.once('close', () => { open.delete(socket) })
  })
  app.decorate('endUpgrades', () => {
    app.server.removeAllListeners('upgrade')
    for (const socket of open) socket.destroy()
  })

  await app.register(websocket, {
    options: {
      maxPayload: chatBytes,
      maxFragments: mostFragments,
      maxBufferedChunks: mostChunks,
      closeTimeout: farewellMs,
      perMessageDeflate: false,
      clientTracking: false,
      handleProtocols: (offered: Set<string>) => offered.has(subprotocol) ? subprotocol : false
    } as object, // newer than its types
    // What is wrong with a frame the package has answered by a close code when this is called; what is still open could not be served.
    errorHandler: (error, socket, request) => {
      if (socket.readyState !== socket.OPEN) return
      request.log.error({ err: error }, 'a socket could not be served')
      socket.close(1011)
    },
    // The plugin of the sockets ends them, after they have been told.
    preClose: (done) => { done() }
  })
  // The plugin's own answer has the headers that every answer has.
  app.websocketServer.on('headers', (headers, raw) => {
    headers.push(...(raw as { [answered]?: string[] })[answered] ?? [])
  })

  app.addHook('onRequest', (request, reply, done) => {
    if (request.routeOptions.url !== path) {
      done()
      return
    }
    const { headers } = request
    const refusal = refusalOf(request)
    if (refusal !== undefined) app.audit.refused(request, 'malformed')
    const key = bearerIn(headers['sec-websocket-protocol'])
    if (key !== undefined) headers.authorization ??= `Bearer ${key}`
    if (offers(headers['sec-websocket-protocol'], subprotocol)) headers['sec-websocket-protocol'] = subprotocol
    else delete headers['sec-websocket-protocol']
    // It would be that of every chat.
    delete headers['idempotency-key']
    delete headers['x-muxi-idempotency-key']
    if (request.ws) reply.header('connection', 'close')
    done(refusal)
  })
}, { name: 'upgrades', dependencies: ['telemetry'] })
