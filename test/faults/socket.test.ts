import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { as, sharedWith } from '../app.ts'
import { refused, SocketPeer } from '../plugins/socket/peer.ts'

const test = sharedWith({ MUXI_API_STREAM_LIFE_MS: '0' })
const mebibyte = 1_048_576

/** A connection on which frames are written as bytes, after the handshake. */
class Raw {
  readonly socket: Socket
  received = Buffer.alloc(0)

  constructor (socket: Socket) {
    this.socket = socket
    socket.on('error', () => {})
  }

  static async open (url: string): Promise<Raw> {
    const { hostname, port } = new URL(url)
    const raw = new Raw(connect(Number(port), hostname))
    raw.socket.write(`GET /api/v1/ws HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: ${as('user').authorization}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`)
    const [head] = await once(raw.socket, 'data') as [Buffer]
    expect(head.toString()).toMatch(/^HTTP\/1\.1 101 /)
    raw.socket.on('data', (chunk: Buffer) => { raw.received = Buffer.concat([raw.received, chunk]).subarray(-65_536) })
    return raw
  }

  /** The code of the close frame that came, once the connection has ended. */
  async end (ms = 10_000): Promise<number> {
    await expect.poll(() => this.socket.closed, { timeout: ms }).toBe(true)
    const at = this.received.lastIndexOf(0x88)
    return at < 0 ? 1006 : this.received.readUInt16BE(at + 2)
  }

  /** Writes as fast as the other side takes it; ends when that is gone. */
  async pour (chunk: Buffer, times: number): Promise<void> {
    for (let at = 0; at < times && !this.socket.destroyed; at++) {
      if (!this.socket.write(chunk)) await Promise.race([once(this.socket, 'drain'), once(this.socket, 'close')]).catch(() => {})
    }
  }
}

/** One frame, masked with zeros; `first` is its first byte: FIN, RSV and opcode. */
function frame (first: number, payload: Buffer | string = '', { masked = true, length }: { masked?: boolean, length?: number } = {}): Buffer {
  const body = Buffer.from(payload)
  const bytes = length ?? body.length
  const head = bytes < 126 ? Buffer.from([first, bytes]) : Buffer.alloc(bytes < 65_536 ? 4 : 10)
  if (bytes >= 126) {
    head[0] = first
    head[1] = bytes < 65_536 ? 126 : 127
    if (bytes < 65_536) head.writeUInt16BE(bytes, 2)
    else head.writeBigUInt64BE(BigInt(bytes), 2)
  }
  if (masked) head[1]! |= 0x80
  return Buffer.concat([head, ...(masked ? [Buffer.alloc(4)] : []), body])
}

const close = (code: number, reason: Buffer = Buffer.alloc(0)) => frame(0x88, Buffer.concat([Buffer.from([code >> 8, code & 0xff]), reason]))
const set = (app: FastifyInstance, settings: object) => { app.config = { ...app.config, api: { ...app.config.api, ...settings } } }

describe('line 45: what is no frame of RFC 6455 ends its socket, and costs nothing', () => {
  test.for([
    ['an unmasked frame', frame(0x81, '{}', { masked: false }), 1002],
    ['RSV1 without an extension', frame(0xc1, '{}'), 1002],
    ['RSV2', frame(0xa1, '{}'), 1002],
    ['RSV3', frame(0x91, '{}'), 1002],
    ['an opcode that there is not', frame(0x83, '{}'), 1002],
    ['a control frame of an opcode that there is not', frame(0x8b, ''), 1002],
    ['a continuation of nothing', frame(0x80, '{}'), 1002],
    ['a new message within another', Buffer.concat([frame(0x01, '{'), frame(0x81, '}')]), 1002],
    ['a control frame in fragments', frame(0x09, 'x'), 1002],
    ['a control frame of 126 bytes', frame(0x89, Buffer.alloc(126)), 1002],
    ['a close frame of one byte', frame(0x88, 'x'), 1002],
    ['close code 1005', close(1005), 1002],
    ['close code 1006', close(1006), 1002],
    ['close code 999', close(999), 1002],
    ['close code 5000', close(5000), 1002],
    ['text that is not UTF-8', frame(0x81, Buffer.from([0x22, 0xff, 0xfe, 0x22])), 1007],
    ['UTF-8 that is broken over two fragments', Buffer.concat([frame(0x01, Buffer.from([0x22, 0xe2, 0x82])), frame(0x80, Buffer.from([0x22]))]), 1007],
    ['a close reason that is not UTF-8', close(1000, Buffer.from([0xff, 0xfe])), 1007],
    ['a frame that says it has 100 MiB', frame(0x81, '{', { length: 100 * mebibyte }), 1009],
    ['a frame that says it has more bytes than there are numbers', Buffer.concat([Buffer.from([0x81, 0xff]), Buffer.alloc(8, 0x7f), Buffer.alloc(4)]), 1009]
  ] as const)('%s', async ([, bytes, code], { url }) => {
    const raw = await Raw.open(url)
    raw.socket.write(bytes)

    expect(await raw.end()).toBe(code)
  })

  test('fragments of one byte, without end (CVE-2026-48779)', async ({ url }) => {
    const raw = await Raw.open(url)
    const other = await SocketPeer.open(url)
    const before = process.memoryUsage().rss
    raw.socket.write(frame(0x01, 'x'))
    await raw.pour(Buffer.concat(Array.from({ length: 1_000 }, () => frame(0x00, 'x'))), 1_000)
    const code = await raw.end()
    other.send('ping', 'still here')
    await other.next('pong', 'still here')
    other.close()

    expect([1008, 1009]).toContain(code)
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * mebibyte)
  })

  test('fragments of no byte, without end', async ({ url }) => {
    const raw = await Raw.open(url)
    raw.socket.write(frame(0x01, 'x'))
    await raw.pour(Buffer.concat(Array.from({ length: 1_000 }, () => frame(0x00, ''))), 1_000)

    expect([1008, 1009]).toContain(await raw.end())
  })

  test('fragments that are more than 16 MiB together', async ({ url }) => {
    const raw = await Raw.open(url)
    const before = process.memoryUsage().rss
    raw.socket.write(frame(0x01, 'x'))
    await raw.pour(frame(0x00, Buffer.alloc(mebibyte, 0x78)), 40)

    expect(await raw.end()).toBe(1009)
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * mebibyte)
  })

  test('pings without end count as frames', async ({ url }) => {
    const raw = await Raw.open(url)
    const many = Buffer.concat(Array.from({ length: 40 }, () => frame(0x89, 'x')))
    for (let at = 0; at < 100 && !raw.socket.destroyed; at++) {
      await raw.pour(many, 1)
      await sleep(100)
    }

    expect(await raw.end(1_000)).toBe(4429)
  }, 20_000)
})

describe('line 46: what is none of the protocol is answered by an error', () => {
  const most = 65_536
  const padded = (bytes: number) => {
    const empty = JSON.stringify({ type: 'rtc_unsubscribe', id: 'big', data: { session_id: '' } })
    return JSON.stringify({ type: 'rtc_unsubscribe', id: 'big', data: { session_id: 'x'.repeat(bytes - empty.length) } })
  }
  test.for([
    ['binary', Buffer.from('{"type":"ping"}'), 'bad_request', undefined],
    ['no JSON', 'ping', 'bad_request', undefined],
    ['nothing', '', 'bad_request', undefined],
    ['an array', '[{"type":"ping"}]', 'bad_request', undefined],
    ['null', 'null', 'bad_request', undefined],
    ['a number', '7', 'bad_request', undefined],
    ['no type', '{"id":"a","data":{}}', 'bad_request', 'a'],
    ['a type of another kind', '{"type":{},"id":"a"}', 'bad_request', 'a'],
    ['an unknown type', '{"type":"subscribe","id":"a"}', 'bad_request', 'a'],
    ['type __proto__', '{"type":"__proto__","id":"a"}', 'bad_request', 'a'],
    ['type constructor', '{"type":"constructor","id":"a"}', 'bad_request', 'a'],
    ['type toString', '{"type":"toString","id":"a"}', 'bad_request', 'a'],
    ['a frame with __proto__', '{"type":"ping","id":"a","__proto__":{"data":{}}}', 'bad_request', 'a'],
    ['data with __proto__', '{"type":"chat","id":"a","data":{"content":"x","__proto__":{"agent_id":"greeter"}}}', 'bad_request', 'a'],
    ['metadata with __proto__', '{"type":"chat","id":"a","data":{"content":"x","metadata":{"__proto__":"x"}}}', 'bad_request', 'a'],
    ['a field that is not known', '{"type":"ping","id":"a","more":1}', 'bad_request', 'a'],
    ['an id that is none', '{"type":"chat","id":7,"data":{"content":"x"}}', 'bad_request', undefined],
    ['no id where there is an answer', '{"type":"chat","data":{"content":"x"}}', 'bad_request', undefined],
    ['an id of 129 characters', JSON.stringify({ type: 'ping', id: 'x'.repeat(129) }), 'bad_request', undefined],
    ['a signal of no type', '{"type":"rtc_signal","id":"a","data":{"session_id":"rtc_1"}}', 'bad_request', 'a'],
    ['a signal of type __proto__', '{"type":"rtc_signal","id":"a","data":{"type":"__proto__"}}', 'bad_request', 'a'],
    ['64 KiB and one', padded(most + 1), 'payload_too_large', 'big'],
    ['64 KiB of another kind', JSON.stringify('x'.repeat(most)), 'bad_request', undefined],
    ['a mebibyte of brackets', '['.repeat(mebibyte), 'bad_request', undefined]
  ] as const)('%s', async ([, text, code, id], { url }) => {
    const peer = await SocketPeer.open(url)
    peer.raw(text, { binary: typeof text !== 'string' })
    const failure = await peer.next('error')
    peer.send('ping', 'after')
    await peer.next('pong', 'after')
    peer.close()

    expect(failure).toMatchObject({ type: 'error', data: { code, message: expect.any(String), request_id: expect.any(String) } })
    expect(failure.id).toBe(id)
  })

  test('a frame of 64 KiB is read', async ({ url }) => {
    const peer = await SocketPeer.open(url)
    peer.raw(padded(most))

    expect((await peer.next('error', 'big')).data).toMatchObject({ code: 'bad_request', details: { field: 'frame.data.session_id' } })
    peer.close()
  })

  test('five in a row close the socket with 1008, four and a good one do not', async ({ url }) => {
    const [five, four] = [await SocketPeer.open(url), await SocketPeer.open(url)]
    for (let at = 0; at < 4; at++) for (const peer of [five, four]) peer.raw('nonsense')
    four.send('ping', 'good')
    five.raw('nonsense')
    four.raw('nonsense')
    const code = await five.end()
    await expect.poll(() => four.of('error').length).toBe(5)
    four.send('ping', 'still here')
    await four.next('pong', 'still here')
    four.close()

    expect([code, five.of('error').length]).toEqual([1008, 5])
  })
})

describe('line 47: a handler that throws', () => {
  test.for(['at once', 'later'] as const)('%s ends its own socket with 1011, and nothing else', async (when, { url, app, lines }) => {
    const [one, other] = [await SocketPeer.open(url), await SocketPeer.open(url)]
    const { listen } = app.signaling
    app.signaling.listen = when === 'at once'
      ? () => { throw new TypeError('of the test') }
      : async () => {
        await sleep(10)
        throw new TypeError('of the test')
      }
    one.send('rtc_subscribe', 'a', { session_id: 'rtc_1', participant_id: 'prt_1', participant_token: 'x' })
    const [failure, code] = [await one.next('error', 'a'), await one.end()]
    app.signaling.listen = listen
    other.send('ping', 'p')
    await other.next('pong', 'p')
    other.close()

    expect(code).toBe(1011)
    expect(failure.data).toMatchObject({ code: 'internal_error', message: 'this server failed; report the request id' })
    expect(JSON.stringify(failure)).not.toContain('of the test')
    expect(lines.of(failure.data.request_id)).toMatchObject([{ level: 'error', err: { message: 'of the test' } }])
  })
})

test('line 53: a client that sleeps is cut when it has missed its pong, and is heard no more', async ({ url, app }) => {
  set(app, { socket_ping_ms: 500 })
  const peer = await SocketPeer.open(url)
  // The kernel still answers for it: it is its program that sleeps.
  peer.socket.pause()
  await expect.poll(() => app.connections.count('socket'), { timeout: 5_000 }).toBe(0)
  set(app, { socket_ping_ms: 20_000 })
  peer.socket.resume()
  peer.send('ping', 'late')
  await peer.end()

  expect(peer.of('pong', 'late')).toEqual([])
})

test('line 56: 500 frames a second from one socket are too many for it, and nobody else notices', async ({ url }) => {
  const [loud, quiet] = [await SocketPeer.open(url), await SocketPeer.open(url)]
  const waits: number[] = []
  for (const started = performance.now(); loud.closed === undefined && performance.now() - started < 15_000;) {
    for (let at = 0; at < 50; at++) loud.send('ping', 'p')
    const asked = performance.now()
    quiet.send('ping', `q${waits.length}`)
    await quiet.next('pong', `q${waits.length}`)
    waits.push(performance.now() - asked)
    await sleep(60)
  }
  quiet.close()
  const errors = loud.of('error')

  expect(loud.closed?.code).toBe(4429)
  expect(errors.length).toBe(5)
  expect(errors[0]!.data).toMatchObject({ code: 'rate_limited', details: { limit: 50, retry_after: 1 } })
  expect(loud.of('pong').length).toBeGreaterThanOrEqual(200)
  expect(loud.of('pong').length).toBeLessThan(200 + 50 * 7)
  expect(Math.max(...waits)).toBeLessThan(1_000)
}, 30_000)

test('lines 43 and 44: who is refused is so before the upgrade', async ({ url }) => {
  const foreign = await refused(url, { headers: { ...as('user'), origin: 'https://evil.example' } })

  expect(foreign).toMatchObject({ status: 403, code: 'forbidden' })
})
