import { Client as ClientOfTwo, StreamableHTTPClientTransport as TransportOfTwo } from '@modelcontextprotocol/client'
import { Client as ClientOfOne } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport, SseError } from '@modelcontextprotocol/sdk/client/sse.js'
import { StreamableHTTPClientTransport as TransportOfOne } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import type { Connection, Result } from './connection.ts'

const info = { name: 'muxi-api-e2e', version: '1.0.0' }
const sent = (key: string) => ({ requestInit: { headers: { authorization: `Bearer ${key}` } } })

/** `@modelcontextprotocol/sdk` 1.x, over Streamable HTTP. */
export async function connectOne (url: string, key: string): Promise<Connection> {
  const transport = new TransportOfOne(new URL(`${url}/mcp`), sent(key))
  // Its own types of the two do not agree under exactOptionalPropertyTypes.
  return await connected(transport as Transport, () => transport.protocolVersion)
}

/** `@modelcontextprotocol/sdk` 1.x, over HTTP+SSE. */
export async function connectOneBySse (url: string, key: string): Promise<Connection> {
  let revision: string | undefined
  const transport: Transport = new SSEClientTransport(new URL(`${url}/api/v1/mcp/stream`), sent(key))
  const setVersion = transport.setProtocolVersion?.bind(transport)
  transport.setProtocolVersion = (version) => {
    revision = version
    setVersion?.(version)
  }
  return await connected(transport, () => revision)
}

async function connected (transport: Transport, revision: () => string | undefined): Promise<Connection> {
  const client = new ClientOfOne(info)
  client.onerror = (error) => {
    // A stream of HTTP+SSE that is cut cannot be resumed: what was asked over it would be waited for in vain.
    if (error instanceof SseError && revision() !== undefined) client.close().catch(() => {})
  }
  await client.connect(transport).catch((error: unknown) => { throw Object.assign(new Error('refused', { cause: error }), { status: (error as { code?: unknown }).code }) })
  return {
    revision: revision(),
    tools: async () => (await client.listTools()).tools,
    call: async (name, args) => await client.callTool({ name, arguments: args }) as Result,
    close: async () => { await client.close() }
  }
}

/** `@modelcontextprotocol/client` 2.x. */
export async function connectTwo (url: string, key: string, mode: 'legacy' | 'auto' | { pin: string }): Promise<Connection> {
  const client = new ClientOfTwo(info, { versionNegotiation: { mode } })
  await client.connect(new TransportOfTwo(new URL(`${url}/mcp`), sent(key)))
  return {
    revision: client.getNegotiatedProtocolVersion(),
    tools: async () => (await client.listTools()).tools,
    call: async (name, args) => await client.callTool({ name, arguments: args }) as Result,
    close: async () => { await client.close() }
  }
}
