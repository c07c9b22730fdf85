import fp from 'fastify-plugin'
import { ApiError, invalid } from '../../errors.ts'
import type { KeptTraceEvent, Trace, TraceEvent, TraceListQuery, TraceSearchBody, TraceSearchResult } from '../../schemas/traces.ts'
import { cursorOf, placeIn } from './cursor.ts'
import { fitsList, fitsSearch } from './filter.ts'
import { placeOf, select, valueOf, type Kept } from './order.ts'
import { treeOf } from './tree.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Questions about the spans that are kept, of all instances. */
    traces: {
      /** Sorted as asked, one more than `limit` where there are more. */
      list: (query: TraceListQuery) => Promise<KeptTraceEvent[]>
      search: (body: TraceSearchBody) => Promise<TraceSearchResult>
      /** The one trace whose id begins so. */
      get: (id: string) => Promise<Trace>
    }
  }
}

/** Spans of one trace in one answer; whoever sends `traceparent` decides how many there are. */
const mostOfTrace = 10_000
const mostNamed = 10

/** Every question looks at each kept span once, a batch at a time: other calls are answered between two batches. */
export default fp(async (app) => {
  app.decorate('traces', {
    list: async ({ before, ...query }) => {
      const { sort, limit } = query
      const after = before === undefined ? undefined : await placeOf(history(), before, sort)
      if (before !== undefined && after === undefined) throw invalid('before', 'names no span that is kept: begin again without it')
      const { found } = await select(history(), { fits: fitsList(query), sort, after, most: limit + 1 })
      return found.map(flat)
    },

    search: async (body) => {
      const started = performance.now()
      const { sort, limit } = body
      const { found, total } = await select(history(), { fits: fitsSearch(body), sort, after: placeIn(body), most: limit + 1 })
      const results = found.slice(0, limit)
      const last = results.at(-1)
      const next = last !== undefined && found.length > limit ? cursorOf(body, { id: last.id, value: valueOf(last.event, sort) }) : null
      return { results: results.map(flat), total, has_more: next !== null, next_cursor: next, took_ms: Math.round(performance.now() - started) }
    },

    get: async (id) => {
      const begin = id.toLowerCase()
      const traces = new Set<string>()
      const spans: Kept[] = []
      let leftOut = 0
      for await (const batch of history()) {
        for (const kept of batch) {
          if (!kept.event.traceId.startsWith(begin)) continue
          if (traces.size < mostNamed) traces.add(kept.event.traceId)
          if (spans.length < mostOfTrace) spans.push(kept)
          else leftOut++
        }
      }
      if (spans.length === 0) throw new ApiError('not_found', `no trace ${id} is kept`)
      if (traces.size > 1) throw several(id, [...traces])
      return { ...treeOf(spans), left_out: leftOut }
    }
  })

  async function * history (): AsyncGenerator<Kept[], void, undefined> {
    // Nothing but spans is published under that name.
    for await (const batch of app.events.history('traces')) yield batch.map(({ id, recorded }) => ({ id, event: recorded.event as TraceEvent }))
  }
}, { name: 'traces', dependencies: ['events'] })

function flat ({ id, event }: Kept): KeptTraceEvent {
  return { ...event, id }
}

function several (id: string, traces: string[]): ApiError {
  const field = 'trace_id'
  const message = 'names several traces: give more of its digits'
  return new ApiError('bad_request', `${field} ${id} ${message}`, { details: { field, errors: [{ field, message }], traces } })
}
