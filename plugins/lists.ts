import fp from 'fastify-plugin'
import type { FastifyReply } from 'fastify'
import type { Pagination } from '../schemas/common.ts'

interface Page<T> { items: T[], pagination: Pagination }
interface Timeline<T> { items: T[], has_more: boolean, next_before: string | null }

declare module 'fastify' {
  interface FastifyReply {
    /** One page of a whole list, sorted as asked, with links to its neighbours. */
    page: <T extends object>(all: T[], query: { limit: number, offset: number, sort?: string }) => Page<T>
    /** The newest of a list that goes back in time. `found` begins after `before` and holds one more than `limit` where there are more. */
    timeline: <T extends { id: string }>(found: T[], query: { limit: number, before?: string }) => Timeline<T>
  }
}

/** Lists, page by page, the same for every operation: what is left is told in the answer and in `Link` (RFC 8288). */
export default fp(async (app) => {
  app.decorateReply('page', function (this: FastifyReply, all, { limit, offset, sort }) {
    const sorted = sort === undefined ? all : [...all].sort(by(sort))
    const end = offset + limit
    const next = end < all.length ? end : null
    link(this, {
      next: next === null ? undefined : { offset: next },
      prev: offset === 0 ? undefined : { offset: Math.max(0, offset - limit) },
      first: offset === 0 ? undefined : { offset: 0 }
    })
    return { items: sorted.slice(offset, end), pagination: { total: all.length, limit, offset, next_offset: next } }
  })

  app.decorateReply('timeline', function (this: FastifyReply, found, { limit, before }) {
    const items = found.slice(0, limit)
    const next = found.length > limit ? items.at(-1)?.id ?? null : null
    link(this, { next: next === null ? undefined : { before: next }, first: before === undefined ? undefined : { before: undefined } })
    return { items, has_more: next !== null, next_before: next }
  })
}, { name: 'lists' })

/** References without a path: they hold behind every proxy, and keep the other parameters. */
function link (reply: FastifyReply, links: Record<string, Record<string, string | number | undefined> | undefined>): void {
  if (Object.values(links).every((changes) => changes === undefined)) return
  const query = reply.request.url.split('?', 2)[1] ?? ''
  const values = Object.entries(links).flatMap(([rel, changes]) => {
    if (changes === undefined) return []
    const parameters = new URLSearchParams(query)
    for (const [name, value] of Object.entries(changes)) {
      if (value === undefined) parameters.delete(name)
      else parameters.set(name, String(value))
    }
    return [`<?${parameters.toString()}>; rel="${rel}"`]
  })
  reply.header('link', values.join(', '))
}

/** `field` upwards, `-field` downwards; what lacks the field comes last. */
function by (sort: string): (a: object, b: object) => number {
  const direction = sort.startsWith('-') ? -1 : 1
  const field = sort.replace('-', '')
  // Fields of entities are text or numbers; contracts list those that sort.
  const value = (item: object) => (item as Record<string, string | number | undefined>)[field]
  return (a, b) => {
    const [one, other] = [value(a), value(b)]
    if (one === other) return 0
    if (one === undefined || other === undefined) return one === undefined ? 1 : -1
    return (one < other ? -1 : 1) * direction
  }
}
