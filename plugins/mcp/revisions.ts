import { ProtocolErrorCode, SUPPORTED_PROTOCOL_VERSIONS } from '@modelcontextprotocol/server'
import type { FastifyRequest } from 'fastify'

const latest = '2026-07-28'
/** All that are spoken here, the latest first. */
export const revisions = [latest, ...SUPPORTED_PROTOCOL_VERSIONS.filter((revision) => revision !== latest)]
/** The only one with batches; without a word about it a client means this one (MCP 2025-06-18, Protocol Version Header). */
export const batchRevision = '2025-03-26'
const mostInBatch = 100
const versionKey = 'io.modelcontextprotocol/protocolVersion'

interface Message { method?: unknown, params?: { _meta?: Record<string, unknown> } }

/** Refuses what the SDK's stateless side would take: a revision that is not spoken here, and batches where there are none or that are too long. */
export function refusalOf ({ headers: { 'mcp-protocol-version': header }, body }: Pick<FastifyRequest, 'headers' | 'body'>): Response | undefined {
  const isEnveloped = (body as Message | null)?.params?._meta?.[versionKey] !== undefined
  if (header !== undefined && !isEnveloped && !revisions.includes(String(header))) {
    return refused(-32_000, `Bad Request: Unsupported protocol version (supported versions: ${revisions.join(', ')})`, { supported: revisions })
  }
  if (!Array.isArray(body) || header === latest) return undefined
  if (header !== undefined && header !== batchRevision) return refused(ProtocolErrorCode.InvalidRequest, `Bad Request: batches are of revision ${batchRevision} alone`)
  if (body.length > mostInBatch) return refused(ProtocolErrorCode.InvalidRequest, `Bad Request: a batch has at most ${mostInBatch} messages`)
  return undefined
}

/** How many tools a message calls: what is sent together is counted one by one. */
export function callsIn (body: unknown): number {
  return Array.isArray(body) ? body.filter((message: Message | null) => message?.method === 'tools/call').length : 1
}

function refused (code: number, message: string, data?: object): Response {
  return Response.json({ jsonrpc: '2.0', error: { code, message, ...(data !== undefined && { data }) }, id: null }, { status: 400 })
}
