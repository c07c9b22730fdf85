import { createHash } from 'node:crypto'
import { invalid } from '../../errors.ts'
import type { TraceSearchBody } from '../../schemas/traces.ts'
import type { Place } from './order.ts'

/** Where the next page of a search begins, opaque: good for the same question alone, whatever its `limit`. */
export function cursorOf (body: TraceSearchBody, { id, value }: Place): string {
  return Buffer.from(JSON.stringify([digestOf(body), value, id])).toString('base64url')
}

/** The place that a cursor means; undefined at the first page. */
export function placeIn ({ cursor, ...body }: TraceSearchBody): Place | undefined {
  if (cursor === undefined || cursor === null) return undefined
  const [digest, value, id] = read(cursor)
  if (typeof value !== 'number' || typeof id !== 'string') throw invalid('cursor', 'is none of ours: send `next_cursor` of the page before, or leave it out')
  if (digest !== digestOf(body)) throw invalid('cursor', 'belongs to another search: send it with the body that it came from, or leave it out')
  return { id, value }
}

function read (cursor: string): unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    return Array.isArray(parts) ? parts : []
  } catch {
    return []
  }
}

function digestOf ({ query, from, to, filters = {}, duration: { min, max } = {}, sort }: TraceSearchBody): string {
  const facts = Object.entries(filters).filter(([, values]) => values.length > 0).sort(([a], [b]) => a < b ? -1 : 1)
  return createHash('sha256').update(JSON.stringify([query, from, to, facts, min, max, sort])).digest('base64url').slice(0, 16)
}
