import { Departure } from '../../core/departure.ts'
import { ApiError } from '../../errors.ts'
import type { ChatEvent, RoutedMessage } from '../../schemas/chat.ts'
import type { ErrorBody } from '../../schemas/errors.ts'
import { frameBytes, type ServerFrame } from '../../schemas/socket.ts'
import type { Client } from './client.ts'
import type { FrameOf } from './frames.ts'

/** A chat at work. */
interface Running { until: Departure, messageId: string | undefined, isLarge: boolean, isCancelled: boolean }

const most = 16

/** The chats of one socket. Each is a call of the operation that REST has for it: limits, log, trace and metrics are those of any call. */
export class Chats {
  readonly #client: Client
  readonly #running = new Map<string, Running>()

  constructor (client: Client) {
    this.#client = client
  }

  get size (): number {
    return this.#running.size
  }

  async start ({ id, data, bytes, traceparent }: FrameOf<'chat'>): Promise<void> {
    const isLarge = bytes > frameBytes
    if (this.#running.has(id)) throw new ApiError('conflict', `chat ${id} is at work: give the next one another id`)
    if (this.#running.size >= most) throw new ApiError('rate_limited', `${most} chats are at work on this socket: wait for one to end`, { retryAfter: 1, details: { limit: most, retry_after: 1 } })
    if (isLarge && [...this.#running.values()].some((one) => one.isLarge)) throw new ApiError('conflict', `a chat of more than ${frameBytes} bytes is at work on this socket: wait for it to end`)
    const running: Running = { until: new Departure(), messageId: undefined, isLarge, isCancelled: false }
    this.#running.set(id, running)
    try {
      await this.#run(id, running, data, traceparent)
    } finally {
      this.#running.delete(id)
      this.#client.settle()
    }
  }

  cancel ({ id }: FrameOf<'chat_cancel'>): void {
    const running = this.#running.get(id)
    if (running === undefined || running.isCancelled) throw new ApiError('not_found', `no chat ${id} is at work on this socket`)
    running.isCancelled = true
    running.until.leave()
    this.#client.send({ type: 'chat_end', id, data: { ...(running.messageId !== undefined && { message_id: running.messageId }), cancelled: true } })
  }

  /** Nobody reads any more: the Core is told to stop. */
  end (): void {
    for (const { until } of this.#running.values()) until.leave()
  }

  async #run (id: string, running: Running, { agent_id: agentId, ...input }: FrameOf<'chat'>['data'], traceparent: string | undefined): Promise<void> {
    const { request } = this.#client
    const { until } = running
    const requestId = this.#client.newId()
    const started = performance.now()
    const branch = request.branch('ws', traceparent)
    let statusCode: number | undefined
    try {
      await request.charge(1)
      if (until.aborted) return
      const answer = await request.call({
        method: 'POST',
        url: agentId === undefined ? '/api/v1/chat' : `/api/v1/agents/${agentId}/chat`,
        payload: JSON.stringify(input),
        traceparent: branch?.traceparent,
        until,
        requestId,
        heard: ({ event, data }) => this.#hear(id, running, { event, data } as ChatEvent)
      })
      statusCode = answer.statusCode
      if (!until.aborted) this.#client.send(lastOf(id, answer))
    } catch (error) {
      // Whoever has left, or cancelled it, knows.
      if (!until.aborted) throw error
    } finally {
      const isOver = statusCode !== undefined
      request.spanned({ component: 'ws', operation: 'chat', started, status: isOver && statusCode! >= 500 ? 'error' : 'ok', agentId, data: { requestId, statusCode, aborted: isOver ? undefined : true }, branch })
    }
  }

  /** The Core is read no faster than the socket is. */
  #hear (id: string, running: Running, { event, data }: ChatEvent): void | Promise<void> {
    if (running.until.aborted) return
    if (event === 'message_start') {
      const { id: messageId, ...rest } = data
      running.messageId = messageId
      this.#client.send({ type: 'chat_start', id, data: { message_id: messageId, ...rest } })
    } else if (event === 'content') this.#client.send({ type: 'chat_content', id, data })
    else if (event === 'tool_call_start') this.#client.send({ type: 'chat_tool_start', id, data })
    else if (event === 'tool_call_end') this.#client.send({ type: 'chat_tool_end', id, data })
    return this.#client.drained()
  }
}

/** The end of a chat, as the operation behind it has answered. */
function lastOf (id: string, { statusCode, body }: { statusCode: number, body: string }): ServerFrame {
  if (statusCode >= 400) return { type: 'error', id, data: (JSON.parse(body) as ErrorBody).error }
  const { id: messageId, agent_id: agentId, session_id: sessionId } = JSON.parse(body) as RoutedMessage
  return { type: 'chat_end', id, data: { message_id: messageId, ...(agentId !== undefined && { agent_id: agentId }), ...(sessionId !== undefined && { session_id: sessionId }) } }
}
