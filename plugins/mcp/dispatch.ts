import type { FastifyRequest } from 'fastify'
import type { Outcome } from './call.ts'

/** The revision whose JSON answers are made here, and the keys of its envelope (MCP 2026-07-28, `_meta`). */
const revision = '2026-07-28'
const versionKey = 'io.modelcontextprotocol/protocolVersion'
const capabilitiesKey = 'io.modelcontextprotocol/clientCapabilities'
const clientKey = 'io.modelcontextprotocol/clientInfo'
const serverKey = 'io.modelcontextprotocol/serverInfo'

/** A request that needs nothing of the SDK: one answer, in JSON. `id` is encoded already. */
export type Direct =
  { id: string, method: 'server/discover' | 'tools/list' } |
  { id: string, method: 'tools/call', name: string, args: Record<string, unknown> }

/** What this server says of itself. */
export interface About { info: { name: string, title: string, version: string }, instructions: string }

interface Message { jsonrpc?: unknown, id?: unknown, method?: unknown, params?: { _meta?: Record<string, unknown>, name?: unknown, arguments?: unknown, cursor?: unknown } }

/**
 * Recognises a flawless request of the latest revision for one of the three methods that hosts call most.
 * Everything else, faults included, is the SDK's: it answers four times as slowly, and knows every rule.
 */
export function directOf ({ headers, body }: FastifyRequest): Direct | undefined {
  if (!isRecord(body)) return undefined
  const { jsonrpc, id, method, params } = body as Message
  if (jsonrpc !== '2.0' || (typeof id !== 'string' && !Number.isSafeInteger(id)) || !isRecord(params)) return undefined
  if (headers['mcp-protocol-version'] !== revision || headers['mcp-method'] !== method || !enveloped(params._meta)) return undefined
  if (!/application\/json|\*\/\*/.test(headers.accept ?? '')) return undefined
  const encoded = JSON.stringify(id)
  if ((method === 'server/discover' || method === 'tools/list') && params.cursor === undefined) return { id: encoded, method }
  const { name, arguments: args = {} } = params
  if (method !== 'tools/call' || typeof name !== 'string' || headers['mcp-name'] !== name || !isRecord(args)) return undefined
  return { id: encoded, method, name, args }
}

export function discovered (id: string, { info, instructions }: About): string {
  return answer(id, `"supportedVersions":["${revision}"],"capabilities":{"tools":{}},"instructions":${JSON.stringify(instructions)}`, info, '"ttlMs":0,"cacheScope":"private",')
}

/** `tools` is the JSON of the list. */
export function listed (id: string, tools: string, { info }: About): string {
  return answer(id, `"tools":${tools}`, info, '"ttlMs":60000,"cacheScope":"private",')
}

/** The operation's own JSON goes in as it is, once as text and once as structure. */
export function called (id: string, { json, failed }: Outcome, { info }: About): string {
  const content = `"content":[{"type":"text","text":${JSON.stringify(json)}}]`
  return answer(id, failed ? `${content},"isError":true` : `${content},"structuredContent":${json}`, info, '')
}

function answer (id: string, members: string, info: About['info'], hints: string): string {
  return `{"jsonrpc":"2.0","id":${id},"result":{${members},"resultType":"complete",${hints}"_meta":{"${serverKey}":${JSON.stringify(info)}}}}`
}

function enveloped (meta: unknown): boolean {
  if (!isRecord(meta) || meta[versionKey] !== revision || !isRecord(meta[capabilitiesKey])) return false
  const client = meta[clientKey]
  return client === undefined || (isRecord(client) && typeof client.name === 'string' && typeof client.version === 'string')
}

function isRecord (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
