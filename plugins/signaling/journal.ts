import { randomBytes } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { RtcEvent } from '../../schemas/rtc.ts'

/** What the journal of a room says of an entry beside its data: for whom it is, and what makes it void. */
export interface Label {
  event: RtcEvent['event']
  /** undefined: for all. */
  to?: string[] | undefined
  /** Nobody hears of what they have said themselves. */
  from?: string | undefined
  signal?: string | undefined
  type: string
  /** That of the negotiation that it belongs to: what belongs to an older one is void. */
  version?: number | undefined
  /** When a signal was taken, by the clock of that instance. */
  at?: number | undefined
  /** The participant that it is about, and what it is from then on. */
  about?: string | undefined
  generation?: number | undefined
}

/** An entry with its number; `json` is its data as they go out. */
export interface Numbered { seq: number, label: Label, json: string, isStale: boolean }
export interface Line { label: Label, json: string, once?: string | undefined }
export interface Page { epoch: string, seq: number, first: number, entries: Numbered[] }

/** Signals are of use for seconds: long enough for who comes back, and short enough that a room stays small. */
export const keptMs = 60_000
const most = 1_000
const page = 500

const topicOf = (room: string) => `rtc:${room}:journal`

/** All that is said in a room, in one order, at whatever instance: signals, and what happens. */
export class Journal {
  readonly #app: FastifyInstance

  constructor (app: FastifyInstance) { this.#app = app }

  async append (room: string, lines: Line[]): Promise<void> {
    const { cluster, seal, config: { api } } = this.#app
    const topic = topicOf(room)
    const items = lines.map(({ label, json, once }) => ({ nonce: '-', text: seal.close(`${JSON.stringify(label)}\n${json}`, topic), once }))
    await cluster.append(topic, { id: randomBytes(9).toString('base64url'), items }, { most, ttlMs: keptMs, lifeMs: keptMs + api.rtc_kept_ms })
  }

  async look (room: string, from: number): Promise<Page> {
    const topic = topicOf(room)
    const { epoch, seq, first, entries } = await this.#app.cluster.look(topic, { from, most: page })
    return {
      epoch,
      seq,
      first,
      entries: entries.flatMap(({ seq: number, item }) => {
        const text = this.#app.seal.open(item.text, topic)
        const end = text?.indexOf('\n') ?? -1
        return text === undefined || end < 0 ? [] : [{ seq: number, label: JSON.parse(text.slice(0, end)) as Label, json: text.slice(end + 1), isStale: false }]
      })
    }
  }

  /** The place after all that has been said so far. */
  async head (room: string): Promise<string> {
    const { epoch, seq } = await this.#app.cluster.look(topicOf(room), { from: -1, most: 1 })
    return placeOf(epoch, seq)
  }

  onAppend (room: string, wake: () => void): () => void {
    return this.#app.cluster.onAppend(topicOf(room), wake)
  }
}

/** How a client names the last event that it has. */
export const placeOf = (epoch: string, seq: number): string => `${epoch}.${seq}`

export function readPlace (text: string): { epoch: string, seq: number } | undefined {
  const [, epoch, seq] = /^([\w-]{1,64})\.(\d{1,15})$/.exec(text) ?? []
  return epoch === undefined ? undefined : { epoch, seq: Number(seq) }
}
