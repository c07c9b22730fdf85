import type { WebSocket } from '@fastify/websocket'
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ApiError } from '../../errors.ts'
import { closeCodes } from '../../schemas/socket.ts'
import { Chats } from './chats.ts'
import { Client } from './client.ts'
import { asyncapiOf } from './document.ts'
import { checkUpgrade, upgradeRequired } from './entry.ts'
import { Incoming } from './incoming.ts'
import { Rooms } from './rooms.ts'

export interface Sockets {
  /** Refuses, before the upgrade, what must not become a socket. */
  check: (request: FastifyRequest, reply: FastifyReply, done: () => void) => void
  /** Answers whoever wants no upgrade. */
  refuse: (request: FastifyRequest, reply: FastifyReply) => never
  /** Serves a socket until it ends. */
  serve: (socket: WebSocket, request: FastifyRequest) => void
  /** Resolves when none is open at this instance. */
  idle: () => Promise<void>
}

declare module 'fastify' {
  interface FastifyInstance {
    sockets: Sockets
    /** The AsyncAPI document of the socket, made once. */
    asyncapi: () => object
  }
}

const tickMs = 1_000
const farewellMs = 1_000

/** Chat and signaling over WebSockets: each is a client of this server like any other, and what it asks for goes the way of any call. */
export default fp(async (app) => {
  const { metrics, connections } = app
  const settings = () => app.config.api
  const now = () => performance.now()
  const open = new Set<Client>()
  const onIdle: (() => void)[] = []

  const frames = { in: new Map<string, number>(), out: new Map<string, number>() }
  const count = (direction: keyof typeof frames, type: string) => { frames[direction].set(type, (frames[direction].get(type) ?? 0) + 1) }
  // A counter costs more than a number, and a frame costs little.
  metrics.onScrape(() => {
    for (const direction of ['in', 'out'] as const) {
      for (const [type, added] of frames[direction]) metrics.socketFrames.inc({ direction, type }, added)
      frames[direction].clear()
    }
  })

  app.decorate('sockets', {
    check: (request, reply, done) => {
      checkUpgrade(request, reply)
      done()
    },
    refuse: (request, reply) => { throw upgradeRequired(request, reply) },
    serve: (socket, request) => {
      request.upgraded = true
      const client = new Client({
        socket,
        request,
        settings,
        now,
        observer: {
          onFrame: (type) => { count('out', type) },
          onEnd: (code) => {
            open.delete(client)
            for (const go of letGo) go()
            metrics.socketCloses.inc({ code: Object.hasOwn(closeCodes, code) ? code : 'other' })
            request.log.info({ requestId: request.id, code, frames: client.frames }, 'socket closed')
            if (open.size === 0) for (const go of onIdle.splice(0)) go()
          }
        }
      })
      const chats = new Chats(client)
      const rooms = new Rooms(client, () => app.signaling)
      client.isBusy = () => chats.size > 0
      const incoming = new Incoming({
        client,
        rate: () => settings().socket_rate,
        now,
        limited: metrics.limited,
        onFrame: (type) => { count('in', type) },
        handlers: {
          chat: async (frame) => { await chats.start(frame) },
          chat_cancel: (frame) => { chats.cancel(frame) },
          ping: ({ id }) => { client.send({ type: 'pong', ...(id !== undefined && { id }) }) },
          rtc_subscribe: async (frame) => { await rooms.inOrder(async () => { await rooms.subscribe(frame) }) },
          rtc_unsubscribe: async (frame) => { await rooms.inOrder(async () => { await rooms.unsubscribe(frame) }) },
          rtc_signal: async (frame) => { await rooms.inOrder(async () => { await rooms.signal(frame) }) },
          rtc_leave: async (frame) => { await rooms.inOrder(async () => { await rooms.leave(frame) }) }
        }
      })
      // Before anything that waits: what comes in the meantime would be lost.
      socket.on('message', (message: Buffer, isBinary) => { incoming.receive(message, isBinary) })
      socket.on('ping', () => { incoming.pinged() })
      open.add(client)
      const letGo = [
        () => { chats.end() },
        () => { rooms.end() },
        request.whileAllowed((reason) => { client.refuse(reason) }),
        connections.add(request, {
          kind: 'socket',
          look: () => ({ events: client.frames, bytes: client.bytes }),
          end: (reason) => {
            if (reason === 'shutdown') client.goAway('shutdown')
            else client.refuse(new ApiError('forbidden', 'an admin closed this socket'))
          }
        }).remove
      ]
    },
    idle: async () => {
      if (open.size > 0) await new Promise<void>((resolve) => { onIdle.push(resolve) })
    }
  } satisfies Sockets)

  let document: object | undefined
  app.decorate('asyncapi', () => document ??= asyncapiOf(app.release, app.config.api))

  const ticks = setInterval(() => {
    const at = now()
    for (const client of open) client.tick(at)
  }, Math.min(tickMs, Math.ceil(settings().socket_ping_ms / 5)))
  ticks.unref()
  app.addHook('preClose', async () => {
    for (const client of open) client.goAway('shutdown', 0)
    const late = setTimeout(() => { for (const client of open) client.terminate() }, farewellMs)
    await app.sockets.idle()
    clearTimeout(late)
    app.endUpgrades()
  })
  app.addHook('onClose', async () => { clearInterval(ticks) })
}, { name: 'socket', dependencies: ['auth', 'chat', 'connections', 'signaling', 'telemetry', 'upgrades'] })
