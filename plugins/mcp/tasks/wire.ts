import { CLIENT_CAPABILITIES_META_KEY, RELATED_TASK_META_KEY, type CallToolResult, type ClientCapabilities, type InputRequests, type Result, type Server, type ServerCapabilities, type ServerContext } from '@modelcontextprotocol/server'
import type { FastifyRequest } from 'fastify'
import type { Fault, Task } from './records.ts'

/** How tasks are spoken of: as revision 2025-11-25 has them, or by the extension of 2026-07-28. */
export type Dialect = 'core' | 'extension'
/** Whether a tool may run as a task, or does nothing else; undefined where it never does. */
export type TaskSupport = 'optional' | 'required' | undefined
type Extensible = ClientCapabilities & { extensions?: Record<string, unknown> }

export const extension = 'io.modelcontextprotocol/tasks'
const coreRevision = '2025-11-25'
/** What its caller pays for each look is one call of its limit: not oftener than this. */
const pollMs = 3_000

/** Both are declared; each revision is shown its own. */
export const capabilities: ServerCapabilities = { extensions: { [extension]: {} }, tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } }
/** What the extension needs of a client (MCP tasks extension, Capability Negotiation). */
export const needed = { extensions: { [extension]: {} } }

/** Results that are handles of tasks, not answers of tools: these are checked against another schema. */
const handles = new WeakSet<object>()
export const isHandle = (result: object): boolean => handles.has(result)

/** The dialect of a request; undefined where its revision has no tasks. Whether its client takes part in the extension, `declares` tells. */
export function dialectOf ({ mcpReq: { envelope } }: ServerContext, server: Pick<Server, 'getNegotiatedProtocolVersion'>, { headers }: Pick<FastifyRequest, 'headers'>): Dialect | undefined {
  if (envelope !== undefined) return 'extension'
  return (server.getNegotiatedProtocolVersion() ?? headers['mcp-protocol-version']) === coreRevision ? 'core' : undefined
}

/** What the client of a request of 2026-07-28 says that it can. */
export function clientOf ({ mcpReq: { envelope } }: ServerContext): Extensible {
  return (envelope as Record<string, Extensible> | undefined)?.[CLIENT_CAPABILITIES_META_KEY] ?? {}
}

export function declares ({ extensions }: Extensible): boolean {
  return extensions?.[extension] !== undefined
}

/** The capabilities of a server as the revision that was agreed on knows them. */
export function shaped ({ extensions, tasks, ...capabilities }: ServerCapabilities, revision: string): ServerCapabilities {
  const others = Object.entries(extensions ?? {}).filter(([name]) => name !== extension || revision > coreRevision)
  return { ...capabilities, ...(others.length > 0 && { extensions: Object.fromEntries(others) }), ...(tasks !== undefined && revision === coreRevision && { tasks }) } as ServerCapabilities
}

/** Answers the call of a tool with the task that it has become. */
export function handleOf (task: Task, dialect: Dialect): CallToolResult {
  const handle = dialect === 'core' ? { task: stateOf(task, 'core') } : { resultType: 'task', ...stateOf(task, 'extension') }
  handles.add(handle)
  return handle as unknown as CallToolResult
}

/** The state of a task, without what it came to. */
export function stateOf ({ id, status, statusMessage, createdAt, updatedAt, ttlMs }: Task, dialect: Dialect): Result {
  const isOver = status !== 'working' && status !== 'input_required'
  return {
    taskId: id,
    status,
    ...(statusMessage !== undefined && { statusMessage }),
    createdAt: new Date(createdAt).toISOString(),
    lastUpdatedAt: new Date(updatedAt).toISOString(),
    ...(dialect === 'core' ? { ttl: ttlMs, ...(!isOver && { pollInterval: pollMs }) } : { ttlMs, ...(!isOver && { pollIntervalMs: pollMs }) })
  }
}

/** The same with what it came to, or what it asks. */
export function detailsOf (task: Task, result: Result | undefined): Result {
  return {
    ...stateOf(task, 'extension'),
    ...(task.status === 'completed' && { result }),
    ...(task.status === 'failed' && { error: task.error }),
    ...(task.status === 'input_required' && { inputRequests: task.asked as InputRequests })
  }
}

/** What `tasks/result` answers says of which task it is. */
export function related (result: Result, taskId: string): Result {
  return { ...result, _meta: { ...result._meta, [RELATED_TASK_META_KEY]: { taskId } } }
}

/** An error as JSON-RPC has it. */
export function faultOf (error: unknown): Fault {
  const { code, message, data } = (error ?? {}) as Partial<Fault>
  return { code: Number.isSafeInteger(code) ? code! : -32_603, message: typeof message === 'string' ? message : 'the tool failed', ...(data !== undefined && { data }) }
}
