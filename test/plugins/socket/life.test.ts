import { afterEach, describe, expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { as, sharedWith, test as alone } from '../../app.ts'
import { refused, SocketPeer } from './peer.ts'

const test = sharedWith({ MUXI_API_SOCKET_PING_MS: '500', MUXI_API_STREAM_LIFE_MS: '0' })
const slow = 'Count [fake: tokens=200 delay_ms=20]'

function set (app: FastifyInstance, settings: Partial<FastifyInstance['config']['api']>): void {
  app.config = { ...app.config, api: { ...app.config.api, ...settings } }
}

/** Stops reading, so that nothing is answered. */
function sleep (peer: SocketPeer): void {
  peer.socket.pause()
}

describe('signs of life', () => {
  test('a socket that answers its pings stays open, however little it says', async ({ url }) => {
    const peer = await SocketPeer.open(url)
    await expect.poll(() => peer.pings, { timeout: 5_000 }).toBeGreaterThan(2)

    expect(peer.closed).toBeUndefined()
    peer.close()
  })

  test('one that answers none is cut within two fifths of the time between them', async ({ url, app, lines }) => {
    const peer = await SocketPeer.open(url)
    sleep(peer)
    await expect.poll(() => app.connections.count('socket'), { timeout: 3_000 }).toBe(0)
    peer.close()
    await peer.end()

    expect(lines.all.findLast(({ message }) => message === 'socket closed')).toMatchObject({ code: 1006 })
  })
})

describe('a socket among the connections', () => {
  test('is listed with its key, and closed by an admin', async ({ url, app }) => {
    const peer = await SocketPeer.open(url)
    peer.send('ping')
    await peer.next('pong')
    const { connections } = (await app.inject({ url: '/api/v1/system/connections?kind=socket', headers: as('admin') })).json<{ connections: { id: string }[] }>()
    const { statusCode } = await app.inject({ method: 'DELETE', url: `/api/v1/system/connections/${connections[0]!.id}`, headers: as('admin') })
    const code = await peer.end()

    expect(connections).toMatchObject([{ kind: 'socket', events: 1, bytes: expect.any(Number), key: expect.any(String) }])
    expect([statusCode, code, peer.of('error')[0]!.data]).toMatchObject([200, 4403, { code: 'forbidden', message: 'an admin closed this socket' }])
  })

  test('is counted while it is open, and by its code when it ends', async ({ url, app }) => {
    const peer = await SocketPeer.open(url)
    peer.send('ping')
    await peer.next('pong')
    const during = await app.metrics.registry.metrics()
    peer.socket.close(1000)
    await peer.end()
    await expect.poll(() => app.connections.count('socket')).toBe(0)
    const after = await app.metrics.registry.metrics()

    expect(during).toMatch(/^muxi_api_sockets_open 1$/m)
    expect(during).toMatch(/^muxi_api_socket_frames_total\{direction="in",type="ping"\} \d/m)
    expect(during).toMatch(/^muxi_api_socket_frames_total\{direction="out",type="pong"\} \d/m)
    expect(after).toMatch(/^muxi_api_sockets_open 0$/m)
    expect(after).toMatch(/^muxi_api_socket_closes_total\{code="1000"\} \d/m)
  })

  test('has one line at its end, which says how long it was open', async ({ url, lines }) => {
    const peer = await SocketPeer.open(url, { headers: { ...as('user'), 'x-request-id': 'of-this-socket' } })
    peer.socket.close()
    await expect.poll(() => lines.of('of-this-socket').map(({ message }) => message).sort()).toEqual(['request', 'socket closed'])

    expect(lines.of('of-this-socket').find(({ message }) => message === 'request')).toMatchObject({ operationId: 'ws_connect', statusCode: 101, protocol: 'http', caller: 'user' })
  })
})

describe('a key that is good no more', () => {
  test('ends its sockets within a second, and their chats', async ({ url, app, core }) => {
    core.keys.set('taken-back', { scope: 'user' })
    const peer = await SocketPeer.open(url, { headers: { 'x-api-key': 'taken-back' } })
    peer.send('chat', 'a', { content: slow })
    await peer.next('chat_start', 'a')
    const started = performance.now()
    await app.keys.revoke('taken-back')
    const code = await peer.end()
    const took = performance.now() - started

    expect([code, peer.of('error')[0]!.data.code]).toEqual([4401, 'unauthorized'])
    expect(took).toBeLessThan(1_000)
    await expect.poll(() => core.calls.findLast(({ path }) => path === '/v1/chat')?.aborted).toBe(true)
    expect(await refused(url, { headers: { 'x-api-key': 'taken-back' } })).toMatchObject({ status: 401 })
  })
})

describe('a reader that is slow', () => {
  const flood = 'Count [fake: tokens=100000]'

  test('makes its chats wait, and goes on where it stopped', async ({ url, app }) => {
    set(app, { socket_ping_ms: 600_000 })
    const peer = await SocketPeer.open(url)
    sleep(peer)
    for (let at = 0; at < 2; at++) peer.send('chat', `c${at}`, { content: flood })
    const buffered = () => app.connections.list()[0]?.bytes ?? 0
    let before = -1
    await expect.poll(() => {
      const [was, is] = [before, before = buffered()]
      return is > 1_000_000 && was === is
    }, { timeout: 10_000, interval: 300 }).toBe(true)
    peer.socket.resume()
    for (let at = 0; at < 2; at++) await peer.next('chat_end', `c${at}`, 30_000)
    peer.close()

    // Of the 12 MB that both say: what the kernel takes, and what waits here.
    expect(before).toBeLessThan(9_000_000)
    expect(peer.of('chat_content', 'c1').map(({ data }) => data.content).join('')).toMatch(/^w1 w2 .* w100000$/)
  }, 60_000)

  test('and takes nothing for too long is closed with 1013', async ({ url, app, lines }) => {
    set(app, { stream_stall_ms: 500 })
    const peer = await SocketPeer.open(url)
    sleep(peer)
    for (let at = 0; at < 2; at++) peer.send('chat', `c${at}`, { content: flood })
    await expect.poll(() => app.connections.count('socket'), { timeout: 10_000 }).toBe(0)
    set(app, { stream_stall_ms: 30_000, socket_ping_ms: 500 })
    peer.close()

    expect(lines.all.some(({ message }) => message === 'socket closed')).toBe(true)
    expect(await app.metrics.registry.metrics()).toMatch(/^muxi_api_socket_closes_total\{code="(?:1006|1013)"\}/m)
  }, 30_000)
})

describe('the end of its time', () => {
  test('is told, and ends it with 4000 when its chats have ended', async ({ url, app }) => {
    set(app, { stream_life_ms: 300 })
    const peer = await SocketPeer.open(url)
    peer.send('chat', 'a', { content: 'Count [fake: tokens=100 delay_ms=20]' })
    const code = await peer.end(10_000)
    set(app, { stream_life_ms: 0 })
    const types = peer.frames.map(({ type }) => type)

    expect(code).toBe(4000)
    expect(peer.of('going_away')[0]!.data).toEqual({ reason: 'lifetime', reconnect_after_ms: expect.any(Number) })
    expect(types.at(-1)).toBe('chat_end')
    expect(types.indexOf('going_away')).toBeLessThan(types.indexOf('chat_end'))
  })
})

describe('a stop', () => {
  let peers: SocketPeer[] = []
  afterEach(() => { for (const peer of peers.splice(0)) peer.close() })

  alone('is told to every socket; idle ones end with 1012 at once', async ({ url, app }) => {
    peers = await Promise.all(Array.from({ length: 5 }, async () => await SocketPeer.open(url)))
    app.connections.drain(0).catch(() => {})
    const codes = await Promise.all(peers.map(async (peer) => await peer.end()))

    expect(codes).toEqual(Array(5).fill(1012))
    expect(peers.map((peer) => peer.of('going_away')[0]!.data.reason)).toEqual(Array(5).fill('shutdown'))
    expect(new Set(peers.map((peer) => peer.of('going_away')[0]!.data.reconnect_after_ms)).size).toBeGreaterThan(2)
    await app.sockets.idle()
  })

  alone('lets chats come to their end', async ({ url, app }) => {
    const peer = await SocketPeer.open(url)
    peers = [peer]
    peer.send('chat', 'a', { content: 'Count [fake: tokens=20 delay_ms=20]' })
    await peer.next('chat_start', 'a')
    await app.connections.drain(0)
    await app.sockets.idle()

    expect(await peer.end()).toBe(1012)
    expect(peer.frames.at(-1)!.type).toBe('chat_end')
  })

  alone('but not for longer than it may take: the server closes with sockets that do not listen, refuse to close, or wait for their upgrade', async ({ core, app, url }) => {
    const [busy, deaf] = [await SocketPeer.open(url), await SocketPeer.open(url)]
    busy.send('chat', 'a', { content: slow })
    await busy.next('chat_start', 'a')
    sleep(deaf)
    core.fail({ path: '/v1/auth/introspect', delayMs: 20_000 })
    const upgrading = new SocketPeer(new (deaf.socket.constructor as typeof import('ws').WebSocket)(`${url.replace('http', 'ws')}/api/v1/ws`, { headers: { 'x-api-key': 'sk-unknown-yet' } }))
    peers = [busy, deaf, upgrading]
    await expect.poll(() => core.calls.some(({ path }) => path.startsWith('/v1/auth'))).toBe(true)
    const started = performance.now()
    await app.close()

    expect(performance.now() - started).toBeLessThan(5_000)
    expect(await busy.end()).toBe(1012)
  }, 20_000)

  alone('finds new upgrades refused, and their connections closed', async ({ app, url }) => {
    const peer = await SocketPeer.open(url)
    await app.close()
    const late = new SocketPeer(new (peer.socket.constructor as typeof import('ws').WebSocket)(`${url.replace('http', 'ws')}/api/v1/ws`, { headers: as('user') }))
    await late.end()

    expect(await peer.end()).toBe(1012)
    expect(late.closed?.code).toBe(1006)
  })
})
