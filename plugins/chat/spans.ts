import type { FastifyRequest } from 'fastify'
import { failureOf } from '../../errors.ts'
import type { ChatEvent, ChatInput } from '../../schemas/chat.ts'

/** A tool call that has not come to its end. */
interface Open { started: number, tool: string }

/** Longer than any name or code of the Core's own. */
const mostOfName = 128

/** The steps of one chat as spans: the message, each tool call with its result, the answer. Who and how much, never what was said. */
export class ChatSpans {
  /** The agent that the Core names, once it does. */
  answeredBy: string | undefined
  readonly #request: FastifyRequest
  readonly #started = performance.now()
  readonly #id: string
  readonly #asked: string | undefined
  readonly #spanId: string | undefined
  readonly #open = new Map<string, Open>()
  #sessionId: string | undefined
  #length = 0
  #tools = 0
  #ended = false

  constructor (request: FastifyRequest, id: string, { content, session_id: sessionId, attachments = [] }: ChatInput, agentId: string | undefined) {
    this.#request = request
    this.#id = id
    this.#asked = agentId
    this.#sessionId = sessionId
    this.#spanId = request.branch('agent')?.spanId
    request.spanned({
      component: 'user',
      operation: 'message',
      started: this.#started,
      message: 'message received',
      agentId,
      data: { messageId: id, length: content.length, attachments: attachments.length, agent: agentId, sessionId }
    })
  }

  /** The Core has made a session for it, or goes on with the one that was named. */
  inSession (sessionId: string): void {
    this.#sessionId = sessionId
  }

  see ({ event, data }: ChatEvent): void {
    if (event === 'content') this.#length = data.replace === true ? data.content.length : this.#length + data.content.length
    else if (event === 'message_start') this.answeredBy = data.agent_id ?? this.answeredBy
    else if (event === 'tool_call_start') {
      this.#tools++
      this.#open.set(data.id, { started: performance.now(), tool: data.name.slice(0, mostOfName) })
    } else if (event === 'tool_call_end') {
      const call = this.#open.get(data.id)
      this.#open.delete(data.id)
      if (call !== undefined) this.#called(call, true, data.error?.code)
    } else if (event === 'message_end') {
      this.answeredBy = data.agent_id ?? this.answeredBy
      this.#end('answered', undefined)
    }
  }

  /** Without its last event: it has failed, else its reader has left. */
  end (failure?: unknown): void {
    if (this.#ended) return
    this.#end(failure === undefined ? 'left by its reader' : 'not answered', failure)
  }

  #end (message: string, failure: unknown): void {
    this.#ended = true
    for (const call of this.#open.values()) this.#called(call, false, undefined)
    const error = failure === undefined ? undefined : failureOf(failure)
    this.#request.spanned({
      component: 'agent',
      operation: 'response',
      started: this.#started,
      status: error !== undefined && error.statusCode >= 500 ? 'error' : 'ok',
      message,
      agentId: this.answeredBy ?? this.#asked,
      data: { messageId: this.#id, length: this.#length, toolCalls: this.#tools, sessionId: this.#sessionId, error: error?.code },
      spanId: this.#spanId
    })
  }

  #called ({ started, tool }: Open, answered: boolean, code: string | undefined): void {
    const spanId = this.#request.branch('agent')?.spanId
    const error = code?.slice(0, mostOfName)
    const part = { component: 'agent', status: error === undefined ? 'ok' : 'error', message: tool, agentId: this.answeredBy ?? this.#asked, data: { messageId: this.#id, tool, answered, error } } as const
    this.#request.spanned({ ...part, operation: 'tool_call', started, spanId, parentSpanId: this.#spanId })
    if (answered) this.#request.spanned({ ...part, operation: 'tool_result', started: performance.now(), parentSpanId: spanId })
  }
}
