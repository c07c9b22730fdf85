import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { idOf } from './position.ts'
import { Recorded, type Topic } from './recorded.ts'

export interface KeptEvent { id: string, recorded: Recorded }

const pageSize = 500

/** What a topic keeps, newest first, in pages; without what is older than `maxAgeMs`. */
export async function * historyOf ({ look }: Pick<FastifyInstance['cluster'], 'look'>, topic: Topic, maxAgeMs: number): AsyncGenerator<KeptEvent[]> {
  let { epoch, seq, first, entries } = await look(topic, { from: -pageSize, most: pageSize })
  for (;;) {
    const begin = Date.now() - maxAgeMs
    const page = entries.reverse().map(({ seq, item }) => {
      const recorded = Recorded.of(item)
      return { id: idOf({ epoch, seq, nonce: recorded.nonce }), recorded }
    })
    yield page.filter(({ recorded: { event: { timestamp } } }) => Date.parse(timestamp) >= begin)
    seq -= page.length
    if (page.length === 0 || seq < first) return
    await turn()
    const from = Math.max(first, seq - pageSize + 1)
    const older = await look(topic, { from, most: seq - from + 1 })
    // The history was lost meanwhile: what is there now is another.
    if (older.epoch !== epoch) return
    ({ first, entries } = older)
    entries = entries.filter((entry) => entry.seq <= seq)
  }
}
