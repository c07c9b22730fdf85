import type { FastifyInstance } from 'fastify'
import { speak, type Message } from '../speak.ts'

export interface TaskState {
  taskId: string
  status: string
  statusMessage?: string
  createdAt: string
  lastUpdatedAt: string
  ttl?: number
  ttlMs?: number
  pollInterval?: number
  pollIntervalMs?: number
}
interface Result extends Partial<TaskState> {
  task?: TaskState
  tasks?: TaskState[]
  nextCursor?: string
  resultType?: string
  result?: { isError?: boolean, content: { text: string }[], structuredContent?: { agent_response?: { content: string } } }
  error?: { code: number, message: string }
  isError?: boolean
  content?: { text: string }[]
  structuredContent?: { agent_response?: { content: string } }
  inputRequests?: Record<string, { method: string }>
  tools?: { name: string, execution?: object }[]
  capabilities?: { tasks?: object, extensions?: object }
  _meta?: Record<string, unknown>
}
export interface Answer { status: number, result: Result | undefined, error: Message['error'] }
export interface How { level?: 'user' | 'admin', headers?: Record<string, string>, declares?: boolean, can?: object, query?: string }

export const extension = 'io.modelcontextprotocol/tasks'
/** Chats that never end, that take a second, and that are answered at once. */
export const endless = { content: 'Count [fake: tokens=6 hang_ms=600000]' }
export const slow = { content: 'Count [fake: tokens=6 delay_ms=200]' }
export const quick = { content: 'What is 6 times 7?' }

/** Says one thing as of revision 2025-11-25, without a session. */
export async function sayCore (app: FastifyInstance, method: string, params: Record<string, unknown> = {}, { headers, ...how }: How = {}): Promise<Answer> {
  const { status, result, error } = await speak(app, method, params, { era: 'old', level: 'user', ...how, headers: { 'mcp-protocol-version': '2025-11-25', ...headers } })
  return { status, result: result as Result | undefined, error }
}

/** Says one thing as of revision 2026-07-28, as a client that takes tasks. */
export async function sayExtended (app: FastifyInstance, method: string, params: Record<string, unknown> = {}, { headers, declares = true, can = {}, ...how }: How = {}): Promise<Answer> {
  const meta = { 'io.modelcontextprotocol/clientCapabilities': { ...can, ...(declares && { extensions: { [extension]: {} } }) } }
  const { status, result, error } = await speak(app, method, params, { level: 'user', ...how, meta, headers: { ...(typeof params.taskId === 'string' && { 'mcp-name': params.taskId }), ...headers } })
  return { status, result: result as Result | undefined, error }
}

/** Begins a chat as a task of revision 2025-11-25. */
export async function begin (app: FastifyInstance, args: object, { ttl, ...how }: How & { ttl?: number } = {}): Promise<TaskState> {
  const { result, error } = await sayCore(app, 'tools/call', { name: 'chat_send', arguments: args, task: { ...(ttl !== undefined && { ttl }) } }, how)
  if (result?.task === undefined) throw new Error(JSON.stringify(error ?? result))
  return result.task
}
