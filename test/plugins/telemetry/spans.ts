import { test as base } from '../../app.ts'
import type { TraceEvent } from '../../../schemas/traces.ts'

interface Fixtures { spans: TraceEvent[], named: (name: string) => TraceEvent }

/** A server whose spans are kept as they are made. */
export const test = base.extend<Fixtures>({
  spans: async ({ app }, use) => {
    const spans: TraceEvent[] = []
    app.tap.span = (span) => { spans.push(span) }
    await use(spans)
  },
  /** The one span of that name. */
  named: async ({ spans }, use) => {
    await use((name) => {
      const found = spans.filter((span) => span.name === name)
      if (found.length !== 1) throw new Error(`${found.length} spans are named ${name}: there are ${spans.map((span) => span.name).join(', ')}`)
      return found[0]!
    })
  }
})

/** The names as a tree: each below its parent, in the order of their beginnings, indented. */
export function treeOf (spans: TraceEvent[]): string[] {
  const below = (parent: string | undefined, depth: number): string[] => spans
    .filter(({ parentSpanId }) => parent === undefined ? !spans.some(({ spanId }) => spanId === parentSpanId) : parentSpanId === parent)
    .sort((a, b) => a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0)
    .flatMap(({ name, spanId }) => [`${'  '.repeat(depth)}${name}`, ...below(spanId, depth + 1)])
  return below(undefined, 0)
}
