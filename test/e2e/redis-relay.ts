import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

type Matches = (command: string[]) => boolean
interface Refusal { reply: string, matches: Matches, left: number }

/** What an instance sends to append to the logs, and to look at them. */
export const appends: Matches = (command) => isOfLogs(command) && command[7]!.startsWith('batch ')
export const looks: Matches = (command) => isOfLogs(command) && command.length === 9
const isOfLogs: Matches = ([name, , , key, , , , more]) => name?.toLowerCase() === 'evalsha' && key?.includes('{topic:logs}') === true && more !== undefined

/** Stands between an instance and its Redis, and makes what goes wrong between them. */
export class RedisRelay {
  readonly port: number
  /** How many commands were refused, or had their answers taken away. */
  refused = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #to: number
  #pairs = new Set<readonly [Socket, Socket]>()
  #refusals: Refusal[] = []
  #isLosing: Matches = () => false

  private constructor (server: Server, to: number) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    this.#to = to
    server.on('connection', (near: Socket) => { this.#join(near) })
  }

  static async start (to: number): Promise<RedisRelay> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new RedisRelay(server, to)
  }

  /** New connections go to another Redis; those that are there stay. */
  lead (port: number): void { this.#to = port }

  /** From now on nothing passes on the connections that are there, and neither end is told; new ones are as they should be. */
  silence (): void {
    for (const [near, far] of this.#pairs) {
      near.removeAllListeners('data').pause()
      far.removeAllListeners('data').pause()
    }
    this.#pairs = new Set()
  }

  /** The next commands like this are refused with this reply; it comes from Redis itself, in the order of the others. */
  refuse (reply: string, matches: Matches, times: number): void {
    this.#refusals.push({ reply, matches, left: times })
  }

  /** The next command like this is carried out, and the connection lost before its answer is there. */
  loseAnswer (matches: Matches): void { this.#isLosing = matches }

  async close (): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #join (near: Socket): void {
    const far = connect(this.#to, '127.0.0.1')
    const pair = [near, far] as const
    this.#pairs.add(pair)
    let rest = Buffer.alloc(0)
    near.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk])
      for (let command = commandIn(rest); command !== undefined; command = commandIn(rest)) {
        far.write(this.#refusalOf(command.parts) ?? rest.subarray(0, command.end))
        rest = rest.subarray(command.end)
        if (!this.#isLosing(command.parts)) continue
        this.#isLosing = () => false
        this.refused++
        far.removeAllListeners('data').once('data', () => { near.destroy() })
      }
    })
    far.on('data', (chunk) => { near.write(chunk) })
    for (const [one, other] of [pair, [far, near]] as const) {
      this.#sockets.add(one)
      one.on('error', () => {}).on('close', () => {
        this.#sockets.delete(one)
        // In silence the one does not learn what becomes of the other.
        if (!this.#pairs.has(pair)) return
        this.#pairs.delete(pair)
        other.destroy()
      })
    }
  }

  #refusalOf (parts: string[]): Buffer | undefined {
    const refusal = this.#refusals.find(({ left, matches }) => left > 0 && matches(parts))
    if (refusal === undefined) return undefined
    refusal.left--
    this.refused++
    const instead = ['EVAL', 'return redis.error_reply(ARGV[1])', '0', refusal.reply]
    return Buffer.from(`*${instead.length}\r\n${instead.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')}`)
  }
}

/** The first command of some bytes of RESP, and where it ends; undefined where it has not arrived in full. */
function commandIn (bytes: Buffer): { parts: string[], end: number } | undefined {
  let at = 0
  const number = () => {
    const end = bytes.indexOf('\r\n', at)
    if (end === -1) return undefined
    const value = Number(bytes.toString('latin1', at + 1, end))
    at = end + 2
    return value
  }
  const count = number()
  if (count === undefined) return undefined
  const parts: string[] = []
  for (let i = 0; i < count; i++) {
    const length = number()
    if (length === undefined || bytes.length < at + length + 2) return undefined
    parts.push(bytes.toString('utf8', at, at + length))
    at += length + 2
  }
  return { parts, end: at }
}
