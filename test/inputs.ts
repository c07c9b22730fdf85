import type { FastifyInstance, InjectOptions } from 'fastify'

type Operation = FastifyInstance['operations'][number]
type Method = NonNullable<InjectOptions['method']>
interface Schema {
  type?: string
  properties?: Record<string, Schema>
  required?: string[]
  minProperties?: number
  minimum?: number
  minLength?: number
  default?: unknown
  examples?: unknown[]
  enum?: unknown[]
}

/** One call of an operation, as a request and as the arguments of a tool. */
export interface Input { request: { method: Method, url: string, payload?: string }, args: Record<string, unknown> }

/** What is there in every embedded Core, and what an optional field is set to wherever it occurs. */
const known: Record<string, unknown> = { agent_id: 'greeter', user_id: 'u1' }
/** What no schema tells, and what would do harm as its example stands. Nothing listens on port 9. */
const own: Record<string, Record<string, unknown>> = {
  agent_delete: { agent_id: 'nobody' },
  mcp_server_connect: { name: 'closed', url: 'http://127.0.0.1:9/mcp' },
  mcp_message_send: { jsonrpc: '2.0', id: 1, method: 'tools/list' }
}

/** The smallest input that the contract of an operation takes, with the given values where it has a place for them. */
export function inputFor ({ id, method, url, contract: { params, querystring, body } }: Operation, given: Record<string, unknown> = {}): Input {
  const parts = [params, querystring, body].map((schema) => schema === undefined ? {} : { ...exampleOf(schema as Schema) as object, ...pick(own[id], schema as Schema), ...pick(given, schema as Schema, false) } as Record<string, unknown>)
  const [path, query, content] = parts as [Record<string, unknown>, Record<string, unknown>, Record<string, unknown>]
  const search = new URLSearchParams(Object.entries(query).map(([name, value]): [string, string] => [name, String(value)])).toString()
  return {
    request: {
      method: method as Method,
      url: url.replaceAll(/:([a-z_]+)/g, (_, name: string) => encodeURIComponent(String(path[name]))) + (search === '' ? '' : `?${search}`),
      ...(body !== undefined && { payload: JSON.stringify(content) })
    },
    args: Object.assign({}, ...parts) as Record<string, unknown>
  }
}

function exampleOf (schema: Schema): unknown {
  if (schema.examples !== undefined) return schema.examples[0]
  if (schema.enum !== undefined) return schema.enum[0]
  if (schema.type === 'integer' || schema.type === 'number') return schema.default ?? schema.minimum ?? 0
  if (schema.type === 'string') return 'x'.repeat(Math.max(schema.minLength ?? 0, 1))
  if (schema.type === 'boolean') return true
  if (schema.type === 'array') return []
  const { properties = {}, required = [], minProperties = 0 } = schema
  const optional = Object.keys(properties).filter((name) => !required.includes(name))
  const names = [...required, ...optional.filter((name) => name in known)]
  names.push(...optional.filter((name) => !names.includes(name)).slice(0, Math.max(minProperties - names.length, 0)))
  return Object.fromEntries(names.map((name) => [name, known[name] ?? exampleOf(properties[name]!)]))
}

/** Of the given values those that belong to this part of the input; all where the part may hold anything. */
function pick (values: Record<string, unknown> = {}, { properties }: Schema, free = true): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([name]) => properties === undefined ? free : name in properties))
}
