import MiniSearch from 'minisearch'
import { LRUCache } from 'lru-cache'
import { ApiError, invalid } from '../../errors.ts'
import type { ToolDefinition } from './tools.ts'

/** What a call of one of the three comes to: an answer of its own, or a call of another tool. */
export type Meta = { answer: object } | { call: { name: string, args: Record<string, unknown> } }

const name = { type: 'string', minLength: 1, maxLength: 128, description: 'The name of a tool, as tool_search tells it' }
const mostFound = 50
const usual = 10

/** What stands in the place of all tools for hosts with small contexts. */
export const metaTools: ToolDefinition[] = [
  {
    name: 'tool_search',
    title: 'Find tools',
    description: 'Find tools by what they do. Use this first: names and one-line descriptions come back, the best match first. Without a query it lists them in order.',
    inputSchema: {
      type: 'object',
      properties: {
        query: { type: 'string', maxLength: 200, description: 'Words for what is to be done', examples: ['talk to an agent'] },
        limit: { type: 'integer', minimum: 1, maximum: mostFound, default: usual, description: 'How many at most' }
      },
      additionalProperties: false
    },
    outputSchema: {
      type: 'object',
      properties: {
        tools: { type: 'array', items: { type: 'object', properties: { name: { type: 'string' }, description: { type: 'string' } }, required: ['name', 'description'], additionalProperties: false } },
        total: { type: 'integer', description: 'How many there are in all' }
      },
      required: ['tools', 'total'],
      additionalProperties: false
    },
    annotations: { title: 'Find tools', readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false }
  },
  {
    name: 'tool_describe',
    title: 'Describe a tool',
    description: 'Describe one tool in full. Use this before tool_call: the schema of its arguments comes back, and that of its answer.',
    inputSchema: { type: 'object', properties: { name }, required: ['name'], additionalProperties: false },
    outputSchema: { type: 'object', properties: { name: { type: 'string' }, description: { type: 'string' }, inputSchema: { type: 'object' } }, required: ['name', 'inputSchema'] },
    annotations: { title: 'Describe a tool', readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false }
  },
  {
    name: 'tool_call',
    title: 'Call a tool',
    description: 'Call a tool by its name. Its own answer comes back, as if it had been called directly.',
    inputSchema: { type: 'object', properties: { name, arguments: { type: 'object', description: 'As the tool\'s inputSchema asks' } }, required: ['name'], additionalProperties: false },
    annotations: { title: 'Call a tool', readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true }
  }
]

/** Added to what a server says of itself where only the three are listed. */
export const compactInstructions = ' This list is compact: find tools with tool_search, read one with tool_describe, call it with tool_call.'

interface Entry { id: string, words: string, title: string, description: string }
type Index = MiniSearch<Entry>
/** Making an index takes longer than a search; callers of one level have one list. */
const indexes = new LRUCache<string, Index>({ max: 20 })

/** What one of the three does, given what the caller may call. Throws what a model can act on; undefined where it is none of them. */
export async function metaCall (tool: string, args: Record<string, unknown>, callable: () => Promise<ToolDefinition[]>): Promise<Meta | undefined> {
  if (tool === 'tool_search') return { answer: search(args, await callable()) }
  if (tool === 'tool_describe') return { answer: describe(args, await callable()) }
  if (tool !== 'tool_call') return undefined
  only(args, ['name', 'arguments'])
  const { arguments: own = {} } = args
  if (typeof own !== 'object' || own === null || Array.isArray(own)) throw invalid('params.arguments', 'must be object')
  return { call: { name: nameIn(args), args: own as Record<string, unknown> } }
}

/** There is no tool of that name for this caller. */
export function noTool (name: string): ApiError {
  return new ApiError('not_found', `no tool ${name.slice(0, 128)}: find one with tool_search`)
}

function search (args: Record<string, unknown>, callable: ToolDefinition[]): object {
  only(args, ['query', 'limit'])
  const { query = '', limit = usual } = args
  if (typeof query !== 'string' || query.length > 200) throw invalid('params.query', 'must be string of at most 200 characters')
  if (!Number.isInteger(limit) || (limit as number) < 1 || (limit as number) > mostFound) throw invalid('params.limit', `must be integer from 1 to ${mostFound}`)
  const byName = new Map(callable.map((tool) => [tool.name, tool]))
  const names = query.trim() === '' ? [...byName.keys()] : indexOf(callable).search(query, { prefix: true, fuzzy: 0.2, boost: { words: 3, title: 2 } }).map(({ id }) => String(id))
  return { tools: names.slice(0, limit as number).map((name) => ({ name, description: lineOf(byName.get(name)!) })), total: callable.length }
}

function indexOf (callable: ToolDefinition[]): Index {
  const key = callable.map(({ name, description }) => `${name} ${description}`).join('\n')
  let index = indexes.get(key)
  if (index === undefined) {
    index = new MiniSearch<Entry>({ fields: ['words', 'title', 'description'] })
    index.addAll(callable.map(({ name: id, title = '', description = '' }) => ({ id, words: id.replaceAll('_', ' '), title, description })))
    indexes.set(key, index)
  }
  return index
}

function describe (args: Record<string, unknown>, callable: ToolDefinition[]): ToolDefinition {
  only(args, ['name'])
  const wanted = nameIn(args)
  const tool = callable.find(({ name }) => name === wanted)
  if (tool === undefined) throw noTool(wanted)
  return tool
}

function nameIn ({ name }: Record<string, unknown>): string {
  if (typeof name !== 'string' || name === '') throw invalid('params.name', 'must be the name of a tool')
  return name
}

function only (args: Record<string, unknown>, allowed: string[]): void {
  const unknown = Object.keys(args).find((name) => !allowed.includes(name))
  if (unknown !== undefined) throw invalid(`params.${unknown.slice(0, 128)}`, 'is not known here')
}

/** Up to the end of the first sentence, or so. */
function lineOf ({ description }: ToolDefinition): string {
  const [line = ''] = description.split('\n', 1)
  return line.length <= 160 ? line : `${line.slice(0, 159)}…`
}
