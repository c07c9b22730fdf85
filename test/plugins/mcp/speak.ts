import type { FastifyInstance } from 'fastify'
import { as } from '../../app.ts'

export interface Message {
  id?: unknown
  method?: string
  params?: { progressToken?: unknown, progress?: number, message?: string, _meta?: Record<string, unknown> }
  result?: { isError?: boolean, structuredContent?: Record<string, unknown>, content?: { text: string }[], tools?: { name: string }[], nextCursor?: string, instructions?: string, _meta?: Record<string, unknown> }
  error?: { code: number, message: string, data?: unknown }
}
export type Era = 'modern' | 'old'
export interface How { era?: Era, level?: 'user' | 'admin', query?: string, headers?: Record<string, string>, meta?: Record<string, unknown>, id?: unknown }

export const eras: Era[] = ['modern', 'old']
const envelope = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }
const names: Record<string, string> = { 'tools/call': 'name' }

/** An HTTP request with one message, of the latest revision or of those before. */
export function messageOf (method: string, params: Record<string, unknown> = {}, { era = 'modern', level = 'admin', query = '', headers = {}, meta = {}, id = 1 }: How = {}) {
  const isModern = era === 'modern'
  const name = params[names[method] ?? '']
  return {
    method: 'POST' as const,
    url: `/mcp${query}`,
    headers: {
      ...as(level),
      host: 'localhost',
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      ...(isModern && { 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...(typeof name === 'string' && { 'mcp-name': name }) }),
      ...headers
    },
    payload: JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, ...((isModern || Object.keys(meta).length > 0) && { _meta: { ...(isModern && envelope), ...meta } }) } })
  }
}

/** Says one thing; all that is said in answer, the last of it on top. */
export async function speak (app: FastifyInstance, method: string, params: Record<string, unknown> = {}, how: How = {}): Promise<Message & { status: number, headers: Record<string, unknown>, before: Message[] }> {
  const { statusCode, headers, body } = await app.inject(messageOf(method, params, how))
  const all = messagesIn(body)
  return { status: statusCode, headers, ...all.at(-1), before: all.slice(0, -1) }
}

/** The messages of a stream, or the only one. */
export function messagesIn (body: string): Message[] {
  if (body.startsWith('{')) return [JSON.parse(body) as Message]
  return [...body.matchAll(/^data: (.+)$/gm)].map(([, data]) => JSON.parse(data!) as Message)
}

/** The error body in a failed result. */
export function errorIn ({ result }: Message): { code: string, message: string, details?: Record<string, unknown>, request_id: string } {
  return (JSON.parse(result!.content![0]!.text) as { error: ReturnType<typeof errorIn> }).error
}
