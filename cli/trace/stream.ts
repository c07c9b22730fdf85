import { setTimeout as sleep } from 'node:timers/promises'
import type { Asked, Told } from './asked.ts'
import { framesIn, type Frame } from './frames.ts'
import { Away, get, keyRemedy, queryOf, reasonOf, type Server } from './server.ts'

const names = { logs: 'log', traces: 'trace' } as const
/** Whoever comes back with the same key is turned away. */
const refusals = new Set(['unauthorized', 'forbidden'])
const firstMs = 500
const longestMs = 10_000

/**
 * Follows a stream, and comes back whenever it breaks off: behind the last event that it had, no sooner than the server asks for, and at random, so that
 * clients of one server do not come back together. What the server says is missing, and every break, is said. Throws where coming back cannot help, and
 * where there was no connection at all.
 */
export async function * follow (server: Server, asked: Asked, say: (text: string) => void, random = Math.random): AsyncGenerator<Told, void, undefined> {
  const query = queryOf(asked)
  let lastId: string | undefined
  let retryMs = 0
  let failures = 0
  let isKnown = false
  for (;;) {
    let why: string
    let afterMs = 0
    try {
      const { body } = await get(server, `/api/v1/${asked.topic}/stream`, query, { accept: 'text/event-stream', ...(lastId !== undefined && { 'last-event-id': lastId }) })
      if (isKnown) say('connected again')
      isKnown = true
      why = 'connection lost'
      for await (const frame of framesIn(body)) {
        failures = 0
        lastId = frame.id ?? lastId
        retryMs = frame.retry ?? retryMs
        if (frame.event === names[asked.topic]) yield toldIn(frame)
        else if (frame.event === 'gap') say(gapOf(frame))
        else if (frame.event === 'end') {
          const reason = String(toldIn(frame).reason)
          if (refusals.has(reason)) throw new Error(`${server.url} ended the stream (${reason}): ${keyRemedy}`)
          why = `the server ended the stream (${reason})`
          break
        }
      }
    } catch (error) {
      if (server.signal.aborted) return
      if (!isKnown || !isPassing(error)) throw error
      why = failures === 0 && !(error instanceof Away) ? `connection lost (${reasonOf(error)})` : 'no connection yet'
      if (error instanceof Away) ({ message: why, afterMs } = error)
    }
    const jitterMs = random() * Math.min(longestMs, firstMs * 2 ** failures++)
    const leastMs = Math.max(retryMs, afterMs)
    const delay = Math.max(leastMs, Math.min(longestMs, leastMs + jitterMs))
    say(`${why}, coming back in ${(delay / 1_000).toFixed(1)} s`)
    await sleep(delay, undefined, { signal: server.signal })
  }
}

function toldIn ({ id, data = '' }: Frame): Told {
  const event = JSON.parse(data) as Told
  return id === undefined ? event : { id, ...event }
}

function gapOf (frame: Frame): string {
  const { count, reason } = toldIn(frame)
  return `${typeof count === 'number' ? `${count} events` : 'events'} left out: ${String(reason)}`
}

/** A connection that broke, as against an answer that stays as it is, or a fault of ours. */
function isPassing (error: unknown): boolean {
  return error instanceof Away || typeof (error as NodeJS.ErrnoException).code === 'string'
}
