import { createHash, createHmac, randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'

/** What a TURN server answered: undefined where it did what it was asked for, otherwise the code of its refusal. */
type Code = number | undefined
interface Answer { code: Code, attributes: Map<number, Buffer> }

const cookie = Buffer.from([0x21, 0x12, 0xa4, 0x42])
const methods = { allocate: 0x0003, createPermission: 0x0008 } as const
const attributes = { username: 0x0006, integrity: 0x0008, errorCode: 0x0009, peerAddress: 0x0012, realm: 0x0014, nonce: 0x0015, transport: 0x0019 } as const
const udp = 17

/** As much of a TURN client (RFC 8656) as it takes to ask what a server allows. */
export class TurnClient {
  readonly #socket: Socket = createSocket('udp4')
  readonly #port: number
  readonly #credentials: { username: string, credential: string }
  #realm: Buffer = Buffer.alloc(0)
  #nonce: Buffer = Buffer.alloc(0)

  constructor (port: number, credentials: { username: string, credential: string }) {
    this.#port = port
    this.#credentials = credentials
  }

  /** Asks for a relayed address. */
  async allocate (): Promise<Code> {
    const transport: [number, Buffer] = [attributes.transport, Buffer.from([udp, 0, 0, 0])]
    const { attributes: found } = await this.#ask(methods.allocate, [transport], false)
    this.#realm = found.get(attributes.realm)!
    this.#nonce = found.get(attributes.nonce)!
    return (await this.#ask(methods.allocate, [transport])).code
  }

  /** Asks for leave to send to an address; nothing is sent there. */
  async permit (address: string): Promise<Code> {
    const bytes = address.split('.').map((part, i) => Number(part) ^ cookie[i]!)
    // An IPv4 address and a port, both crossed with the cookie (RFC 8489, section 14.2).
    return (await this.#ask(methods.createPermission, [[attributes.peerAddress, Buffer.from([0, 1, 0x21, 0x12, ...bytes])]])).code
  }

  close (): void { this.#socket.close() }

  async #ask (method: number, given: [number, Buffer][], isSigned = true): Promise<Answer> {
    const { username, credential } = this.#credentials
    const all: [number, Buffer][] = isSigned ? [...given, [attributes.username, Buffer.from(username)], [attributes.realm, this.#realm], [attributes.nonce, this.#nonce]] : given
    const body = Buffer.concat(all.map(([type, value]) => encoded(type, value)))
    const id = randomBytes(12)
    const head = (length: number) => Buffer.concat([uint16(method), uint16(length), cookie, id])
    const key = createHash('md5').update(`${username}:${this.#realm.toString()}:${credential}`).digest()
    // The length counts the signature, which is not there yet.
    const unsigned = Buffer.concat([head(body.length + (isSigned ? 24 : 0)), body])
    this.#socket.send(isSigned ? Buffer.concat([unsigned, encoded(attributes.integrity, createHmac('sha1', key).update(unsigned).digest())]) : unsigned, this.#port, '127.0.0.1')
    const [message] = await once(this.#socket, 'message', { signal: AbortSignal.timeout(5_000) }) as [Buffer]
    return decoded(message)
  }
}

function uint16 (value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}

function encoded (type: number, value: Buffer): Buffer {
  return Buffer.concat([uint16(type), uint16(value.length), value, Buffer.alloc((4 - value.length % 4) % 4)])
}

function decoded (message: Buffer): Answer {
  const found = new Map<number, Buffer>()
  for (let at = 20; at < message.length;) {
    const length = message.readUInt16BE(at + 2)
    found.set(message.readUInt16BE(at), message.subarray(at + 4, at + 4 + length))
    at += 4 + Math.ceil(length / 4) * 4
  }
  const error = found.get(attributes.errorCode)
  return { code: error === undefined ? undefined : error[2]! * 100 + error[3]!, attributes: found }
}
