import type { FastifyInstance } from 'fastify'
import type { TraceEvent } from '../../schemas/traces.ts'
import { newSpanId, traceparentOf, traceWithin, type Trace } from './trace.ts'

/** A finished part of a request's work. */
export interface Part {
  component: string
  operation: string
  /** `<component>.<operation>` when absent. */
  name?: string
  /** When it began, in ms of `performance.now()`. */
  started: number
  /** `ok` when absent. */
  status?: TraceEvent['status']
  message?: string | undefined
  agentId?: string | undefined
  /** Facts about it; no secret, and nothing that a user or an agent has said. */
  data?: Record<string, unknown>
  /** A fresh one when absent. */
  spanId?: string | undefined
  /** The request's own span when absent. */
  parentSpanId?: string | undefined
  /** In place of both: the place that `branch` gave it. */
  branch?: Branch | undefined
}

/** A part that has parts of its own: its id, the header that makes a call one of them, and its trace where that is another than the request's. */
export interface Branch { readonly spanId: string, readonly traceparent: string, readonly trace?: Trace }

type Settings = Pick<FastifyInstance, 'tap' | 'config'>

/**
 * Makes the spans of this server:
 *
 *     http | mcp | sse .<operation id>   the request; its parent is the span that the caller's `traceparent` names
 *     ├ auth.verify
 *     ├ core.call | core.stream          its id goes to the Core, whose own spans stand below
 *     ├ user.message                     a chat begins
 *     ├ agent.response                   the whole chat
 *     │ └ agent.tool_call
 *     │   └ agent.tool_result
 *     └ tools/call <tool>                or below the span that the message names in `_meta.traceparent`
 *       └ http.<operation id>            the operation behind the tool, as above
 *
 * Each is made at its end, so parents come after their children.
 */
export class Spans {
  readonly #app: Settings

  constructor (app: Settings) {
    this.#app = app
  }

  /** Undefined where no span of the component is made: then its calls stay children of the request, or of the place that is named by a valid `within`. */
  branch (trace: Trace, component: string, within?: unknown): Branch | undefined {
    const other = within === undefined ? undefined : traceWithin(within)
    if (other !== undefined) return { spanId: other.spanId, trace: other, traceparent: traceparentOf(other, this.#takes(component) ? other.spanId : other.parentSpanId) }
    if (!this.#takes(component)) return undefined
    const spanId = newSpanId()
    return { spanId, traceparent: traceparentOf(trace, spanId) }
  }

  record (of: Trace, { component, operation, name = `${component}.${operation}`, started, status = 'ok', message, agentId, data, branch, spanId = branch?.spanId, parentSpanId }: Part): void {
    if (!this.#takes(component)) return
    const trace = branch?.trace ?? of
    const { tap, config: { api } } = this.#app
    if (status === 'ok' && !(trace.isSampled ??= isSampled(trace.traceId, api.tracing_sample))) return
    const now = performance.now()
    // One shape for all: what is undefined is left out of the JSON.
    tap.span!({
      timestamp: textOf(Math.floor(started + originAt(now))),
      traceId: trace.traceId,
      spanId: spanId ?? newSpanId(),
      name,
      duration: Math.round((now - started) * 1_000) / 1_000,
      status,
      parentSpanId: parentSpanId ?? (spanId === trace.spanId ? trace.parentSpanId : trace.spanId),
      service: 'muxi-api',
      component,
      operation,
      message,
      userId: trace.userId,
      agentId,
      data: trace === of ? data : { ...data, links: [{ traceId: of.traceId, spanId: of.spanId }] }
    })
  }

  #takes (component: string): boolean {
    const { tap, config: { api } } = this.#app
    return tap.span !== undefined && api.tracing_enabled && (api.tracing_components.length === 0 || api.tracing_components.includes(component))
  }
}

/** By the end of the id, which is random where its beginning is a time: all instances judge one trace alike. */
function isSampled (traceId: string, percent: number): boolean {
  return percent >= 100 || Number.parseInt(traceId.slice(24), 16) < percent / 100 * 2 ** 32
}

let origin = NaN

/** What to add to `performance.now()` for the time of day: the same for as long as the clock is not set, so that no child begins before its parent. */
function originAt (now: number): number {
  const current = Date.now() - now
  if (!(Math.abs(current - origin) < 3)) origin = current
  return origin
}

const ends = Array.from({ length: 1_000 }, (_, ms) => `${String(ms).padStart(3, '0')}Z`)
let second = NaN
let beginning = ''

/** As toISOString has it, at a thirtieth of its cost: what spans share is their second. */
function textOf (ms: number): string {
  const whole = Math.floor(ms / 1_000)
  if (whole !== second) {
    second = whole
    beginning = new Date(whole * 1_000).toISOString().slice(0, 20)
  }
  return beginning + ends[ms - whole * 1_000]
}
