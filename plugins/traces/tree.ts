import type { Kept } from './order.ts'
import { beganAt } from './filter.ts'
import type { Trace } from '../../schemas/traces.ts'

/** The spans of one trace, in the order in which they were kept, the newest first, as the tree that they are. There must be one at least. */
export function treeOf (spans: Kept[]): Omit<Trace, 'left_out'> {
  const depths = depthsOf(spans)
  const sorted = spans.map(({ id, event }, at) => ({ id, event, began: beganAt(event), depth: depths.get(event.spanId) ?? 0, at }))
  // A span is kept when it ends, so that the one that holds it comes later; within a millisecond its depth tells.
  sorted.sort((a, b) => a.began - b.began || a.depth - b.depth || b.at - a.at)
  const [first] = sorted
  const { began, event: { traceId, timestamp: started } } = first!
  const duration = sorted.reduce((most, one) => Math.max(most, one.began - began + one.event.duration), 0)
  return {
    traceId,
    started,
    duration: Math.round(duration * 1_000) / 1_000,
    status: sorted.some(({ event }) => event.status === 'error') ? 'error' : 'ok',
    events: sorted.map(({ id, event, depth }) => ({ ...event, id, depth }))
  }
}

/** How many spans are above each, by its id. Others send these, so a circle is possible: it has no top, and begins where it is entered. */
function depthsOf (spans: Kept[]): Map<string, number> {
  const parents = new Map(spans.map(({ event: { spanId, parentSpanId } }) => [spanId, parentSpanId]))
  const depths = new Map<string, number>()
  for (const start of parents.keys()) {
    const way = new Set<string>()
    let span: string | undefined = start
    while (span !== undefined && parents.has(span) && !depths.has(span) && !way.has(span)) {
      way.add(span)
      span = parents.get(span)
    }
    let depth = (span === undefined ? undefined : depths.get(span)) ?? -1
    for (const one of [...way].reverse()) depths.set(one, ++depth)
  }
  return depths
}
