import type { CoreToken } from '../../core/types.ts'
import { ApiError } from '../../errors.ts'
import type { ChatEvent } from '../../schemas/chat.ts'

const patienceMs = 1_000

/**
 * The Core's tokens as the events of a chat: `message_start` once the agent is named, the first piece comes, or a second has
 * passed; pieces and tool calls as they come; `message_end`. An answer that the Core itself calls failed, or
 * that has no end, throws `core_error`.
 * `onSession` is told the session that the Core names, as soon as it does.
 */
export async function * eventsOf (tokens: AsyncIterable<CoreToken>, id: string, onSession: (id: string) => void = () => {}): AsyncGenerator<ChatEvent, void, undefined> {
  const iterator = tokens[Symbol.asyncIterator]()
  const created = new Date().toISOString()
  const start = (agent: CoreToken = { type: 'progress' }): ChatEvent => ({
    event: 'message_start',
    data: {
      id,
      created_at: created,
      ...(agent.selected_agent !== undefined && { agent_id: agent.selected_agent }),
      ...(agent.routing_confidence !== undefined && { routing_confidence: agent.routing_confidence })
    }
  })
  let started = false
  let spoken = false
  let ended = false
  let next: Promise<IteratorResult<CoreToken>> | undefined
  try {
    const deadline = performance.now() + patienceMs
    for (;;) {
      // Kept while the start goes out, else never asked for ahead: nobody would see it fail.
      next ??= iterator.next()
      const result = started ? await next : await within(next, deadline - performance.now())
      if (result === undefined) {
        started = true
        yield start()
        continue
      }
      next = undefined
      if (result.done === true && ended) return
      if (result.done === true) throw new ApiError('core_error', 'the agent did not finish its answer')
      const token = result.value
      // null for a greeting, which the Core answers outside of any session
      if (typeof token.session_id === 'string') onSession(token.session_id)
      if (!started && (token.selected_agent !== undefined || speaks.has(token.type))) {
        started = true
        yield start(token)
      }
      if (token.type === 'failed' || token.type === 'cancelled' || (token.type === 'completed' && token.status === 'error')) {
        throw new ApiError('core_error', 'the agent could not answer', { cause: token.content?.slice(0, 200) })
      }
      yield * said(token, id, spoken)
      if (token.type === 'content' && token.content !== '') spoken = true
      if (token.type === 'completed') ended = true
    }
  } catch (error) {
    throw withId(error, id)
  } finally {
    await iterator.return?.()
  }
}

/** A failure of a chat that the Core may have taken on tells its id: under that the Core knows what became of it. */
export function withId (error: unknown, id: string): unknown {
  if (!(error instanceof ApiError) || error.statusCode < 500 || error.code === 'not_implemented') return error
  const { code, message, details, retryAfter, cause } = error
  return new ApiError(code, message, { details: { ...details, message_id: id }, cause, ...(retryAfter !== undefined && { retryAfter }) })
}

/** What the client hears of; a step before it may name the agent. */
const speaks = new Set(['content', 'tool_call_start', 'tool_call_end', 'completed'])

function * said ({ type, content = '', tool_call: call, stream_discontinuity: discontinuity, agent_used: agent }: CoreToken, id: string, spoken: boolean): Generator<ChatEvent> {
  const callId = call?.id ?? 'call'
  if (type === 'content' && content !== '') yield { event: 'content', data: { content } }
  else if (type === 'tool_call_start') yield { event: 'tool_call_start', data: { id: callId, name: call?.name ?? 'tool', parameters: call?.parameters ?? {} } }
  else if (type === 'tool_call_end') {
    const error = call?.error === undefined ? undefined : { code: call.error.code ?? 'tool_failed', message: call.error.message ?? 'the tool failed' }
    yield { event: 'tool_call_end', data: { id: callId, ...(error === undefined ? { output: call?.output } : { error }) } }
  } else if (type === 'completed') {
    // The Core says everything once more at the end: news only when it said nothing yet, or takes back what it said.
    if (discontinuity === true) yield { event: 'content', data: { content, replace: true } }
    else if (!spoken && content !== '') yield { event: 'content', data: { content } }
    yield { event: 'message_end', data: { id, ...(agent !== undefined && { agent_id: agent }) } }
  }
}

async function within<T> (promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<undefined>((resolve) => { timer = setTimeout(resolve, Math.max(ms, 0), undefined) })
  try {
    return await Promise.race([promise, timeout])
  } finally {
    clearTimeout(timer)
  }
}
