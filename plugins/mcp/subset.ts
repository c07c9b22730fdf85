import type { FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import { invalid } from '../../errors.ts'
import { mostSubset } from '../../schemas/mcp-tools.ts'

/** The part of the tools that a caller asked for. */
export interface Subset {
  /** The same for the same wish. */
  key: string
  /** Three tools that find, describe and call the others are listed in their place. */
  isCompact: boolean
  includes: (name: string) => boolean
}

const compact = 'compact'
const whole: Subset = { key: '', isCompact: false, includes: () => true }
const known = new LRUCache<string, Subset>({ max: 200 })

/** What `?tools=`, else the header `X-Muxi-Tools`, asks for: names, patterns with `*`, and `compact`, between commas; everything without them. */
export function subsetOf ({ query, headers: { 'x-muxi-tools': header } }: Pick<FastifyRequest, 'query' | 'headers'>): Subset {
  const wish = (query as { tools?: string } | undefined)?.tools ?? header
  if (wish === undefined) return whole
  const key = [wish].flat().join()
  if (key.length > mostSubset) throw invalid('headers.x-muxi-tools', `must have at most ${mostSubset} characters`)
  let subset = known.get(key)
  if (subset === undefined) known.set(key, subset = parse(key))
  return subset
}

function parse (key: string): Subset {
  const words = key.split(',').map((word) => word.trim()).filter((word) => word !== '')
  const patterns = words.filter((word) => word !== compact)
  const isCompact = patterns.length < words.length
  return { key, isCompact, includes: isCompact && patterns.length === 0 ? () => true : (name) => patterns.some((pattern) => fits(name, pattern)) }
}

/** Whether a name fits a pattern, in which `*` stands for any characters. In linear time, whatever a caller writes: no regular expression. */
export function fits (name: string, pattern: string): boolean {
  const parts = pattern.split('*')
  if (parts.length === 1) return name === pattern
  const [first = ''] = parts
  const last = parts.at(-1)!
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return false
  const end = name.length - last.length
  let at = first.length
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at)
    if (found < 0 || found + part.length > end) return false
    at = found + part.length
  }
  return true
}
