import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { expect } from 'vitest'
import { WebSocket, type ClientOptions } from 'ws'
import { Ajv } from 'ajv'
import { serverFrames } from '../../../schemas/socket.ts'
import { as } from '../../app.ts'

export interface Received { type: string, id?: string, event_id?: string, data: any }

const ajv = new Ajv({ strict: false, formats: { 'date-time': true } })
const valid = Object.fromEntries(Object.entries(serverFrames).map(([type, schema]) => [type, ajv.compile(schema)]))

/** A socket of a test: what it was sent, how it ended. Every frame of the server is held to its schema. */
export class SocketPeer {
  readonly socket: WebSocket
  readonly frames: Received[] = []
  closed: { code: number, reason: string } | undefined
  pings = 0

  constructor (socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as Received
      const check = valid[frame.type]
      if (check === undefined || !check(frame)) throw new Error(`${data.toString().slice(0, 300)}: ${ajv.errorsText(check?.errors)}`)
      this.frames.push(frame)
    })
    socket.on('ping', () => { this.pings++ })
    socket.on('error', () => {})
    socket.on('close', (code, reason) => { this.closed = { code, reason: reason.toString() } })
  }

  static async open (url: string, options: ClientOptions = { headers: as('user') }, protocols: string[] = []): Promise<SocketPeer> {
    const peer = new SocketPeer(new WebSocket(addressOf(url), protocols, options))
    await once(peer.socket, 'open')
    return peer
  }

  send (type: string, id?: string, data?: unknown): void {
    this.raw(JSON.stringify({ type, id, data }))
  }

  raw (data: string | Buffer, options: { binary?: boolean } = {}): void {
    this.socket.send(data, { binary: false, ...options })
  }

  of (type: string, id?: string): Received[] {
    return this.frames.filter((frame) => frame.type === type && (id === undefined || frame.id === id))
  }

  /** Waits for a frame of a type, and of an id. */
  async next (type: string, id?: string, ms = 5_000): Promise<Received> {
    await expect.poll(() => this.of(type, id).length, { timeout: ms, message: `${type} ${id ?? ''} among ${JSON.stringify(this.frames).slice(0, 2_000)}` }).toBeGreaterThan(0)
    return this.of(type, id)[0]!
  }

  /** Waits until the socket has ended; answers its code. */
  async end (ms = 5_000): Promise<number> {
    await expect.poll(() => this.closed?.code, { timeout: ms }).toBeDefined()
    return this.closed!.code
  }

  close (): void {
    this.socket.terminate()
  }
}

export const addressOf = (url: string) => `${url.replace(/^http/, 'ws')}${url.includes('/api/') ? '' : '/api/v1/ws'}`

/** What an upgrade that is refused was answered. */
export async function refused (url: string, options: ClientOptions = {}, protocols: string[] = []): Promise<{ status: number, headers: IncomingMessage['headers'], code: string, message: string }> {
  const socket = new WebSocket(addressOf(url), protocols, options)
  socket.on('error', () => {})
  const [, answer] = await once(socket, 'unexpected-response') as [unknown, IncomingMessage]
  let text = ''
  for await (const chunk of answer) text += String(chunk)
  const { error } = JSON.parse(text) as { error: { code: string, message: string } }
  return { status: answer.statusCode!, headers: answer.headers, ...error }
}
