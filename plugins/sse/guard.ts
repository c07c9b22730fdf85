import type { EventMessage } from 'fastify-sse-v2'

/** One event before it goes out: `data` is JSON-encoded here. */
export interface SseEvent { event: string, id?: string, data: unknown }

interface Watch {
  signal: AbortSignal
  heartbeatMs: number
  onSend: (event: EventMessage) => void
  onError: (error: unknown) => SseEvent
  onEnd: (isCut: boolean) => void
  whileAllowed: (end: (reason: Error) => void) => () => void
}

const name = /^[a-z][a-z0-9_-]{0,63}$/
const id = /^[A-Za-z0-9_.:-]{1,128}$/
const done: IteratorResult<EventMessage> = { done: true, value: undefined }

/**
 * Stands between a source of events and the package that writes them, which neither lets go of its source when the client
 * leaves nor survives one that throws: ends on abort, turns an error into the last event, puts a comment into every silence,
 * and lets no name or id pass that could break a line.
 */
export function guard (source: AsyncIterator<SseEvent>, first: IteratorResult<SseEvent>, { signal, heartbeatMs, onSend, onError, onEnd, whileAllowed }: Watch): AsyncIterable<EventMessage> {
  let pending: Promise<IteratorResult<SseEvent>> | undefined = Promise.resolve(first)
  let answer: ((result: IteratorResult<EventMessage>) => void) | undefined
  let quiet = false
  let ended = false
  let forbidden: Error | undefined

  const heart = setInterval(() => {
    if (quiet) answer?.({ done: false, value: { comment: ' heartbeat' } })
    quiet = true
  }, heartbeatMs)
  const end = () => {
    if (ended) return
    ended = true
    clearInterval(heart)
    letGo()
    signal.removeEventListener('abort', end)
    answer?.(done)
    source.return?.().catch(() => {})
    onEnd(forbidden !== undefined)
  }
  const sent = (event: SseEvent) => {
    const value = encode(event)
    onSend(value)
    return { done: false as const, value }
  }
  /** The last event, at once where the client is ready for it. */
  const fail = (error: unknown) => {
    const give = answer
    answer = undefined
    give?.(sent(onError(error)))
    if (give !== undefined) end()
  }
  const letGo = whileAllowed((reason) => {
    forbidden = reason
    fail(reason)
  })
  if (signal.aborted) end()
  else signal.addEventListener('abort', end)

  async function next (): Promise<IteratorResult<EventMessage>> {
    if (ended) return done
    if (forbidden !== undefined) {
      end()
      return sent(onError(forbidden))
    }
    // Kept over a heartbeat: a second next() would ask the source for a second event.
    const asked = pending ??= source.next()
    return await new Promise((resolve) => {
      answer = resolve
      asked.then((result) => {
        if (answer !== resolve || ended) return
        pending = undefined
        quiet = false
        if (result.done === true) end()
        else resolve(sent(result.value))
      }).catch((error: unknown) => {
        if (answer === resolve && !ended) fail(error)
      })
    })
  }
  return { [Symbol.asyncIterator]: () => ({ next }) }
}

function encode ({ event, id: eventId, data }: SseEvent): EventMessage {
  if (!name.test(event) || (eventId !== undefined && !id.test(eventId))) throw new Error('an event has a name or id that cannot go over the wire')
  return { event, ...(eventId !== undefined && { id: eventId }), data: JSON.stringify(data) }
}
