import { setTimeout as sleep } from 'node:timers/promises'
import type { Level } from '../../../schemas/logs.ts'
import { authorization, type Instance } from './instances.ts'
import type { Random } from './random.ts'

/** One event that was sent. In doubt is what may be there or not: its answer was lost, or its instance died before it can have passed it on. */
export interface Publication { publisher: number, n: number, level: Level, service: string, state: 'sent' | 'accepted' | 'in doubt', at: number, instance: Instance }

const severities: Record<Level, number> = { debug: 5, info: 9, warn: 13, error: 17 }
const levels = Object.keys(severities) as Level[]
/** The last one's events are large: who does not read them is soon felt. */
export const services = ['shop', 'billing', 'search', 'bulk'] as const
const padding = 'x'.repeat(8_192)
const tickMs = 100
/** Longer than an instance is frozen: what waits there must not be overtaken by what is sent after it. */
const answerMs = 12_000
/** An instance that is killed may not have passed on what it took within this time. */
const doubtMs = 2_000

/** Sends numbered events to one instance, one batch after the other, and none twice. */
export class Publisher {
  readonly index: number
  readonly sent: Publication[] = []
  readonly instance: Instance
  readonly #random: Random
  #beyond = 0

  constructor (index: number, instance: Instance, random: Random) {
    this.index = index
    this.instance = instance
    this.#random = random
  }

  /** So many events a second, until told to stop. */
  async run (rate: number, signal: AbortSignal): Promise<void> {
    const began = performance.now()
    let due = 0
    while (!signal.aborted) {
      due = Math.min((performance.now() - began) * rate / 1_000, due + rate)
      const count = Math.min(50, Math.floor(due) + this.#beyond - this.sent.length)
      if (count > 0) await this.send(count)
      await sleep(tickMs)
    }
  }

  /** So many more than the rate has, as fast as they are taken. */
  burst (count: number): void {
    this.#beyond += count
  }

  async send (count: number): Promise<void> {
    const batch = Array.from({ length: count }, () => this.#next())
    this.sent.push(...batch)
    const accepted = await fetch(`${this.instance.url}/api/v1/logs`, {
      method: 'POST',
      headers: { ...authorization, 'content-type': 'application/json' },
      body: JSON.stringify({ resourceLogs: batch.map(recordOf) }),
      signal: AbortSignal.timeout(answerMs)
    }).then(async (answer) => answer.status === 200 && JSON.stringify(await answer.json()) === '{}', () => false)
    for (const publication of batch) {
      publication.state = accepted ? 'accepted' : 'in doubt'
      publication.at = performance.now()
    }
  }

  /** What was sent, with what the deaths of the instance put in doubt. */
  publications (): Publication[] {
    const isDoubtful = ({ at }: Publication) => this.instance.kills.some((kill) => at > kill - doubtMs && at < kill + 100)
    return this.sent.map((publication) => publication.state === 'accepted' && isDoubtful(publication) ? { ...publication, state: 'in doubt' } : publication)
  }

  #next (): Publication {
    const service = this.#random.next() < 0.1 ? 'bulk' : this.#random.pick(services.slice(0, 3))
    return { publisher: this.index, n: this.#made++, level: this.#random.pick(levels), service, state: 'sent', at: 0, instance: this.instance }
  }

  #made = 0
}

const text = (stringValue: string) => ({ stringValue })

/** One ResourceLogs of OTLP's JSON for each, so that the batch keeps its order. */
function recordOf ({ publisher, n, level, service }: Publication): object {
  const attributes = [{ key: 'publisher', value: { intValue: String(publisher) } }, { key: 'n', value: { intValue: String(n) } }]
  return {
    resource: { attributes: [{ key: 'service.name', value: text(service) }] },
    scopeLogs: [{
      logRecords: [{
        timeUnixNano: `${Date.now()}000000`,
        severityNumber: severities[level],
        severityText: level.toUpperCase(),
        body: text(`oracle ${publisher}-${n}`),
        attributes: service === 'bulk' ? [...attributes, { key: 'padding', value: text(padding) }] : attributes
      }]
    }]
  }
}
