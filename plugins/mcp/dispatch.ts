import type { FastifyRequest } from 'fastify'
import { callTool, type Outcome } from './call.ts'
import { measure } from './measure.ts'
import type { About, Offer } from './offer.ts'
import { capabilitiesOf, limitKey } from './server.ts'
import { subsetOf } from './subset.ts'
import { declares, shaped } from './tasks/wire.ts'

/** The revision whose JSON answers are made here, and the keys of its envelope (MCP 2026-07-28, `_meta`). */
const revision = '2026-07-28'
const versionKey = 'io.modelcontextprotocol/protocolVersion'
const capabilitiesKey = 'io.modelcontextprotocol/clientCapabilities'
const clientKey = 'io.modelcontextprotocol/clientInfo'
const serverKey = 'io.modelcontextprotocol/serverInfo'

/** A request that needs nothing of the SDK: one answer, in JSON. `id` is encoded already. */
type Direct =
  { id: string, method: 'server/discover' } |
  { id: string, method: 'tools/list' } |
  { id: string, method: 'tools/call', name: string, args: Record<string, unknown>, traceparent: unknown, takesTasks: boolean }

interface Message { jsonrpc?: unknown, id?: unknown, method?: unknown, params?: { _meta?: Record<string, unknown>, name?: unknown, arguments?: unknown, cursor?: unknown } }

/**
 * Answers a flawless request of the latest revision for one of the three methods that hosts call most; undefined for every other.
 * Those, faults included, are the SDK's: it answers four times as slowly, and knows every rule.
 */
export function answerDirectly (offer: Offer, request: FastifyRequest): Promise<string> | undefined {
  const direct = directOf(request)
  if (direct === undefined) return undefined
  const { about, tools, features, listing } = offer
  const { isCompact, includes } = subsetOf(request)
  const started = performance.now()
  const { id, method } = direct
  const measured = async (answer: Promise<string>) => {
    const json = await answer
    measure(offer, request, { method, started })
    return json
  }
  if (direct.method === 'server/discover') return isCompact ? undefined : measured(Promise.resolve(discovered(id, about, JSON.stringify(shaped(capabilitiesOf(features), revision)))))
  if (direct.method === 'tools/list') return measured(listing.json(request).then((members) => listed(id, members, about)))
  const { name, args, traceparent, takesTasks } = direct
  const tool = isCompact || !includes(name) ? undefined : tools.get(name)
  if (tool === undefined || (takesTasks && offer.tasks.supportOf(name) !== undefined)) return undefined
  return callTool(tool, args, request, { traceparent }).then((outcome) => {
    measure(offer, request, { method, tool: name, error: outcome.failed ? 'tool_error' : undefined, started })
    return called(id, outcome, about, request)
  }, (error: unknown) => {
    measure(offer, request, { method, tool: name, error: 'cancelled', started })
    throw error
  })
}

function directOf ({ headers, body }: FastifyRequest): Direct | undefined {
  if (!isRecord(body)) return undefined
  const { jsonrpc, id, method, params } = body as Message
  if (jsonrpc !== '2.0' || (typeof id !== 'string' && !Number.isSafeInteger(id)) || !isRecord(params)) return undefined
  if (headers['mcp-protocol-version'] !== revision || headers['mcp-method'] !== method || !enveloped(params._meta)) return undefined
  if (!/application\/json|\*\/\*/.test(headers.accept ?? '')) return undefined
  const encoded = JSON.stringify(id)
  if ((method === 'server/discover' || method === 'tools/list') && params.cursor === undefined) return { id: encoded, method }
  const { name, arguments: args = {}, _meta: meta } = params
  if (method !== 'tools/call' || typeof name !== 'string' || headers['mcp-name'] !== name || !isRecord(args)) return undefined
  // Who wants to hear of the progress is answered with a stream.
  if (meta.progressToken !== undefined) return undefined
  return { id: encoded, method, name, args, traceparent: meta.traceparent, takesTasks: declares(meta[capabilitiesKey] as object) }
}

/** `capabilities` is JSON. */
function discovered (id: string, { info, instructions }: About, capabilities: string): string {
  return answer(id, `"supportedVersions":["${revision}"],"capabilities":${capabilities},"instructions":${JSON.stringify(instructions)}`, info, '"ttlMs":0,"cacheScope":"private",')
}

/** `members` are those of the list, as JSON. */
function listed (id: string, members: string, { info }: About): string {
  return answer(id, members, info, '"ttlMs":60000,"cacheScope":"private",')
}

/** The operation's own JSON goes in as it is, once as text and once as structure. */
function called (id: string, { json, failed }: Outcome, { info }: About, { nearLimit }: FastifyRequest): string {
  const content = `"content":[{"type":"text","text":${JSON.stringify(json)}}]`
  const limit = nearLimit === undefined ? '' : `"${limitKey}":${JSON.stringify(nearLimit)},`
  return answer(id, failed ? `${content},"isError":true` : `${content},"structuredContent":${json}`, info, '', limit)
}

function answer (id: string, members: string, info: About['info'], hints: string, meta = ''): string {
  return `{"jsonrpc":"2.0","id":${id},"result":{${members},"resultType":"complete",${hints}"_meta":{${meta}"${serverKey}":${JSON.stringify(info)}}}}`
}

function enveloped (meta: unknown): meta is Record<string, unknown> {
  if (!isRecord(meta) || meta[versionKey] !== revision || !isRecord(meta[capabilitiesKey])) return false
  const client = meta[clientKey]
  return client === undefined || (isRecord(client) && typeof client.name === 'string' && typeof client.version === 'string')
}

function isRecord (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
