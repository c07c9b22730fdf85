import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { ApiError } from '../errors.ts'
import type { CoreToken } from './types.ts'

const terminal = new Set(['completed', 'failed', 'cancelled'])
const lastWordsMs = 1_000

/** The body of an answer; one that can be broken off says so. */
type Body = AsyncIterable<Uint8Array> & { destroy?: () => unknown }
interface Limits { maxFrame: number, onMalformed: () => void }

/**
 * The tokens of the Core's chat stream (`text/event-stream`), in order.
 * Keep-alives and frames that cannot be read are passed over (`onMalformed` counts the latter).
 * A stream that breaks off before a token that ends the answer throws `core_unavailable`, one that is done without it and a frame
 * above `maxFrame` characters throw `core_error`.
 */
export async function * tokensIn (body: Body, { maxFrame, onMalformed }: Limits): AsyncGenerator<CoreToken, void, undefined> {
  const messages: EventSourceMessage[] = []
  const parser = createParser({
    maxBufferSize: maxFrame,
    onEvent: (message) => messages.push(message),
    onError: ({ type }) => { if (type === 'max-buffer-size-exceeded') throw new ApiError('core_error', 'the MUXI Core sent a frame that is too large') }
  })
  const decoder = new TextDecoder()
  let answered = false
  let ending: NodeJS.Timeout | undefined
  try {
    for await (const chunk of body) {
      parser.feed(decoder.decode(chunk, { stream: true }))
      for (const message of messages.splice(0)) {
        if (answered) continue
        if (message.event === 'done') throw new ApiError('core_error', 'the MUXI Core did not finish its answer')
        if (message.event === 'error') throw new ApiError('core_error', 'the MUXI Core failed while it answered', { cause: message.data.slice(0, 200) })
        const token = message.event === undefined ? tokenIn(message.data) : undefined
        if (token === undefined) {
          onMalformed()
          continue
        }
        answered = terminal.has(token.type)
        yield token
        // Read to its end, the connection serves again and the Core sees nobody leave; but nobody waits long for that end.
        if (answered) ending = setTimeout(() => { body.destroy?.() }, lastWordsMs)
      }
    }
  } catch (error) {
    // What breaks after the answer is no longer the caller's concern.
    if (!answered) throw error
  } finally {
    clearTimeout(ending)
  }
  if (!answered) throw new ApiError('core_unavailable', 'the MUXI Core closed the stream', { retryAfter: 1 })
}

function tokenIn (data: string): CoreToken | undefined {
  // One writer of the Core ends its frames with a backslash and an n instead of a line feed.
  for (const text of [data, data.replace(/(?:\\n)+$/, '')]) {
    try {
      const { token } = JSON.parse(text) as { token?: CoreToken }
      return typeof token?.type === 'string' && typeof (token.content ?? '') === 'string' ? token : undefined
    } catch {}
  }
  return undefined
}
