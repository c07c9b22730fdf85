import { Agent, get, type IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { levels, type Level } from '../../../schemas/logs.ts'
import { createBlocks, type Block } from './blocks.ts'
import { authorization } from './instances.ts'
import type { Random } from './random.ts'

export interface Filter { level?: Level, service?: string }
/** Where a client stands, as its last id says. */
export interface Position { epoch: string, seq: number, nonce: string }
export interface Gap { reason: string, from?: string, to?: string, count?: number }
/** One move of a client: an event, a gap, or an id alone. `event` is that of a publisher, as `<publisher>-<n>`. */
export interface Step { at: number, id: Position, event?: string | undefined, gap?: Gap | undefined }

/** How often a client leaves of its own accord, and when it stops reading for a while. */
export interface Habits { stayMs?: [number, number], awayMs?: [number, number], sleep?: { afterMs: number, forMs: number } }
interface Options { random: Random, filter?: Filter, habits?: Habits, mayGap?: string[] }

const form = /^([\w-]+)\.(\d+)\.([\w-]+)$/
const agent = new Agent({ keepAlive: false, maxSockets: Infinity })
/** A stream that is silent for so long is taken for dead. */
const silentMs = 10_000

export const fits = ({ level, service }: Filter, event: { level: string, service: string }): boolean =>
  (level === undefined || levels.indexOf(event.level as Level) >= levels.indexOf(level)) && (service === undefined || event.service === service)

/** Follows the log, comes back after every end with the last id it was given, and writes down every move. */
export class Client {
  readonly name: string
  readonly filter: Filter
  /** The reasons for gaps that it brings upon itself. */
  readonly mayGap: readonly string[]
  readonly steps: Step[] = []
  /** What no client should ever see. */
  readonly problems: string[] = []
  connects = 0
  readonly #url: string
  readonly #random: Random
  readonly #habits: Habits
  #lastId: string | undefined
  #retryMs = 500
  #nap = { begin: 0, end: 0 }

  constructor (name: string, base: string, { random, filter = {}, habits = {}, mayGap = [] }: Options) {
    this.name = `${name} (${Object.values(filter).join(' of ') || 'all'})`
    this.#url = `${base}/api/v1/logs/stream?${new URLSearchParams({ ...filter })}`
    this.filter = filter
    this.#habits = habits
    this.mayGap = mayGap
    this.#random = random
  }

  async run (signal: AbortSignal): Promise<void> {
    const { sleep: nap } = this.#habits
    const begin = performance.now() + (nap?.afterMs ?? 0)
    this.#nap = { begin, end: begin + (nap?.forMs ?? 0) }
    while (!signal.aborted) {
      await this.#connection(signal)
      if (!signal.aborted) await sleep(this.#random.between(50, Math.min(1_000, this.#retryMs)), undefined, { signal }).catch(() => {})
    }
  }

  /** One connection, until it ends, and the time away after a client that left. */
  async #connection (signal: AbortSignal): Promise<void> {
    const own = new AbortController()
    const leave = () => { own.abort() }
    signal.addEventListener('abort', leave)
    const { stayMs, awayMs = [0, 2_000] } = this.#habits
    const leaving = stayMs === undefined ? undefined : setTimeout(leave, this.#random.between(...stayMs))
    await this.#follow(own.signal).catch((error: unknown) => {
      if (error instanceof Problem) this.problems.push(`${this.name}: ${error.message}`)
    })
    clearTimeout(leaving)
    signal.removeEventListener('abort', leave)
    if (own.signal.aborted && !signal.aborted) await sleep(this.#random.between(...awayMs), undefined, { signal }).catch(() => {})
  }

  async #follow (signal: AbortSignal): Promise<void> {
    const headers = { ...authorization, ...(this.#lastId !== undefined && { 'last-event-id': this.#lastId }) }
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = get(this.#url, { headers, agent, signal, timeout: this.#habits.sleep === undefined ? silentMs : 0 }, resolve).once('error', reject)
      request.once('timeout', () => {
        this.problems.push(`${this.name} heard nothing for ${silentMs} ms`)
        request.destroy()
      })
    })
    if (answer.statusCode !== 200) {
      answer.resume()
      if (![502, 503, 504].includes(answer.statusCode!)) throw new Problem(`was answered ${answer.statusCode}`)
      return
    }
    this.connects++
    const feed = createBlocks((block) => { this.#take(block) })
    for await (const text of answer.setEncoding('utf8')) {
      feed(text as string)
      const now = performance.now()
      // What is not taken stays in the socket, and fills all that is before it.
      if (now > this.#nap.begin && now < this.#nap.end) await sleep(this.#nap.end - now, undefined, { signal })
    }
  }

  #take ({ id, event, retry }: Block): void {
    if (retry !== undefined) this.#retryMs = retry
    if (id === undefined) {
      if (event !== undefined && event.event !== 'end') throw new Problem(`got ${event.event ?? 'an event'} without an id`)
      return
    }
    this.#lastId = id
    const [, epoch, seq, nonce] = form.exec(id) ?? []
    if (epoch === undefined) throw new Problem(`got the id ${id}`)
    const step: Step = { at: performance.now(), id: { epoch, seq: Number(seq), nonce: nonce! } }
    this.steps.push(step)
    if (event === undefined) return
    const data = JSON.parse(event.data) as { level: string, service: string, message: string } & Gap
    if (event.event === 'gap') step.gap = data
    else if (event.event !== 'log') throw new Problem(`got an event ${event.event}`)
    else {
      if (!fits(this.filter, data)) throw new Problem(`got an event of level ${data.level} and service ${data.service}`)
      step.event = /^oracle (\d+-\d+)$/.exec(data.message)?.[1]
    }
  }
}

class Problem extends Error {}
