import type { FastifyInstance } from 'fastify'

type Operation = FastifyInstance['operations'][number]
/** What these do reaches models and servers that are not ours. */
const reachesOut = new Set<Operation['capability']>(['chat', 'mcp_servers.connect'])

type Place = 'params' | 'querystring' | 'body' | 'headers'

/** What an operation takes in a header of its own, as the argument of a tool. */
export const headerOf: Record<string, string> = { participant_token: 'x-participant-token' }
interface ObjectSchema { type?: string, properties?: Record<string, unknown>, required?: string[], minProperties?: number, maxProperties?: number }

/** A tool as `tools/list` shows it (MCP 2026-07-28 and the 2025 revisions). */
export interface ToolDefinition {
  name: string
  title: string
  description: string
  inputSchema: { type: 'object' } & Record<string, unknown>
  outputSchema?: { type: 'object' } & Record<string, unknown>
  annotations: { title: string, readOnlyHint: boolean, destructiveHint: boolean, idempotentHint: boolean, openWorldHint: boolean }
}

/** An operation as a tool, and where each argument goes. */
export interface Tool { definition: ToolDefinition, operation: Operation, places: Map<string, Place> }

/** Every operation that answers JSON, as a tool, by name. Arguments of one name in two places stop the start. */
export function toolsOf (operations: Operation[]): Map<string, Tool> {
  return new Map(operations.filter((operation) => reasonAgainst(operation) === undefined).map((operation) => [operation.id, toolOf(operation)]))
}

/** Why an operation is no tool; undefined where it is one. */
export function reasonAgainst ({ contract, hidden }: Operation): string | undefined {
  if (hidden) return 'part of a page'
  if (contract.tags.includes('mcp')) return 'of the protocol itself'
  if (contract.tags.includes('docs')) return 'a document'
  if (contract.tags.includes('otlp')) return 'for exporters'
  if (101 in contract.response) return 'a socket'
  const success = successOf(contract.response)
  if (success === undefined) return 'no answer'
  if (!('content' in success)) return undefined
  return 'text/event-stream' in (success.content as object) ? 'a stream' : 'no JSON'
}

function toolOf (operation: Operation): Tool {
  const { id: name, method, contract } = operation
  const places = new Map<string, Place>()
  const inputSchema: ToolDefinition['inputSchema'] = { type: 'object', properties: {}, additionalProperties: false }
  const required: string[] = []
  const sources = (['params', 'querystring', 'body'] as const).filter((place) => contract[place] !== undefined)
  for (const place of sources) {
    const schema = plain(contract[place]) as ObjectSchema
    if (schema.type !== 'object') throw new Error(`the ${place} of ${name} is no object: it cannot become the arguments of a tool`)
    for (const [argument, value] of Object.entries(schema.properties ?? {})) {
      if (places.has(argument)) throw new Error(`the tool ${name} would have two arguments named "${argument}": in ${places.get(argument)} and in ${place}`)
      places.set(argument, place)
      Object.assign(inputSchema.properties as object, { [argument]: value })
    }
    required.push(...schema.required ?? [])
    if (sources.length === 1 && schema.minProperties !== undefined) Object.assign(inputSchema, { minProperties: schema.minProperties, ...(schema.maxProperties !== undefined && { maxProperties: schema.maxProperties }) })
  }
  const headers = plain(contract.headers ?? {}) as ObjectSchema
  for (const [argument, header] of Object.entries(headerOf)) {
    if (headers.properties?.[header] === undefined) continue
    places.set(argument, 'headers')
    Object.assign(inputSchema.properties as object, { [argument]: headers.properties[header] })
    if (headers.required?.includes(header)) required.push(argument)
  }
  if (required.length > 0) inputSchema.required = required
  const { title: _, ...output } = plain(successOf(contract.response), 'examples') as Record<string, unknown>
  return {
    operation,
    places,
    definition: {
      name,
      title: contract.summary,
      description: [contract.summary, contract.description].filter(Boolean).join('. ').replace(/\.\. /, '. '),
      inputSchema,
      // Only objects come here: every JSON answer of ours is one, and a test walks over them.
      outputSchema: output as ToolDefinition['outputSchema'],
      annotations: {
        title: contract.summary,
        readOnlyHint: method === 'GET' || contract.isRead === true,
        // What overwrites destroys, too: only what adds does not.
        destructiveHint: method === 'DELETE' || method === 'PATCH' || method === 'PUT' || contract.isTaking === true,
        idempotentHint: method !== 'POST' || contract.isRead === true || contract.isTaking === true,
        openWorldHint: reachesOut.has(operation.capability)
      }
    }
  }
}

function successOf (response: Operation['contract']['response']): object | undefined {
  const taken = response[202]
  return response[200] ?? response[201] ?? (taken !== undefined && 'properties' in taken ? taken : undefined)
}

/** Without TypeBox's symbols and our shared references, for tools stand alone; and without what the host of a model has no use for. */
function plain (value: unknown, left?: string): unknown {
  return JSON.parse(JSON.stringify(value, (key, child: unknown) => key === left ? undefined : child))
}
