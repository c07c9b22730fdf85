import { AgentId, SessionId, UserId } from '../../schemas/common.ts'

/** What has the same name is the same everywhere. */
const ids: Record<string, unknown> = { agent_id: AgentId.examples[0], user_id: UserId.examples[0], session_id: SessionId.examples[0] }

interface Schema {
  type?: string
  const?: unknown
  enum?: unknown[]
  default?: unknown
  examples?: unknown[]
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
}

/**
 * An example put together from those of the parts, so that each is written once, where the part is declared.
 * undefined where a part that must be there has none; what may be left out and has none is left out.
 */
export function exampleOf (schema: Schema, otherwise?: unknown): unknown {
  if (schema.examples !== undefined) return schema.examples[0]
  if ('const' in schema) return schema.const
  if (schema.enum !== undefined) return schema.enum[0]
  if (schema.default !== undefined) return schema.default
  switch (schema.type) {
    case 'boolean': return true
    case 'array': return listOf(schema.items ?? {})
    case 'object': return objectOf(schema)
    default: return otherwise
  }
}

function listOf (items: Schema): unknown[] | undefined {
  const item = exampleOf(items)
  return item === undefined ? undefined : [item]
}

function objectOf ({ properties = {}, required = [] }: Schema): Record<string, unknown> | undefined {
  const members = Object.entries(properties).map(([name, schema]) => [name, exampleOf(schema, ids[name])] as const)
  if (members.some(([name, value]) => value === undefined && required.includes(name))) return undefined
  const known = members.filter(([, value]) => value !== undefined)
  return known.length === 0 && members.length > 0 ? undefined : Object.fromEntries(known)
}
