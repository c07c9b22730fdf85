import type { FastifyInstance } from 'fastify'
import { as } from '../../../app.ts'
import { speak, type How, type Message } from '../speak.ts'

export interface Listed { name: string, title?: string, description?: string, uri?: string, uriTemplate?: string, inputSchema?: Record<string, unknown> }
interface Result {
  tools?: Listed[]
  resources?: Listed[]
  resourceTemplates?: Listed[]
  prompts?: Listed[]
  nextCursor?: string
  isError?: boolean
  content?: { type: string, text?: string }[]
  structuredContent?: unknown
  contents?: { uri: string, mimeType: string, text: string }[]
  messages?: { role: string, content: { text: string } }[]
  completion?: { values: string[], hasMore?: boolean }
  capabilities?: object
}

/** Says one thing of the protocol, with the header that must agree with it. */
export async function ask (app: FastifyInstance, method: string, params: Record<string, unknown> = {}, how: How = {}): Promise<{ status: number, result: Result, error: Message['error'] }> {
  const name = params.uri ?? params.name
  const headers = { ...(typeof name === 'string' && how.era !== 'old' && { 'mcp-name': name }), ...how.headers }
  const { status, result, error } = await speak(app, method, params, { ...how, headers })
  return { status, result: result as Result, error }
}

/** The tools that are not operations. */
export async function toolsOfAgents (app: FastifyInstance, how: How = {}): Promise<Listed[]> {
  const { result } = await ask(app, 'tools/list', {}, how)
  return result.tools!.filter(({ name }) => name.startsWith('tool_'))
}

/** Connects an agent to a tool server. */
export async function connect (app: FastifyInstance, url: string, { agent = 'analyst', name = 'sums' } = {}): Promise<void> {
  const res = await app.inject({ method: 'POST', url: `/api/v1/agents/${agent}/mcp_servers`, headers: as('admin'), payload: { name, url } })
  if (res.statusCode !== 201) throw new Error(res.body)
}

/** Creates an agent. */
export async function create (app: FastifyInstance, id: string, more: object = {}): Promise<void> {
  const res = await app.inject({ method: 'POST', url: '/api/v1/agents', headers: as('admin'), payload: { id, description: `Is ${id}`, model: { provider: 'p', model: 'm' }, ...more } })
  if (res.statusCode !== 201) throw new Error(res.body)
}
