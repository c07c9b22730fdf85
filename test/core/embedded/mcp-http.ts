import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'

export interface HttpServer extends AsyncDisposable {
  url: string
  port: number
  /** the headers of every request */
  seen: IncomingHttpHeaders[]
  /** sessions that are open */
  sessions: Map<string, StreamableHTTPServerTransport>
}

const inputSchema = { type: 'object' as const, properties: { a: { type: 'number' }, b: { type: 'number' } } }

/** An MCP server over Streamable HTTP with sessions, that adds numbers, fails, and takes its time. */
export async function startHttpServer (port = 0, status?: number): Promise<HttpServer> {
  const sessions = new Map<string, StreamableHTTPServerTransport>()
  const seen: IncomingHttpHeaders[] = []
  const server = createServer((req, res) => {
    seen.push(req.headers)
    if (status !== undefined) return res.writeHead(status).end()
    const id = req.headers['mcp-session-id']
    const known = typeof id === 'string' ? sessions.get(id) : undefined
    if (known) return known.handleRequest(req, res)
    if (id !== undefined) return res.writeHead(404).end()
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => { sessions.set(id, transport) },
      onsessionclosed: (id) => { sessions.delete(id) }
    })
    // the types of the package disagree about absent and undefined handlers
    adder().connect(transport as Parameters<Server['connect']>[0]).then(async () => { await transport.handleRequest(req, res) }, () => res.destroy())
  })
  await once(server.listen(port, '127.0.0.1'), 'listening')
  const { port: taken } = server.address() as AddressInfo // it listens on a port, not on a pipe
  return {
    url: `http://127.0.0.1:${taken}/mcp`,
    port: taken,
    seen,
    sessions,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}

function adder (): Server {
  const server = new Server({ name: 'sums', version: '1' }, { capabilities: { tools: {} } })
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: [{ name: 'add', description: 'Adds two numbers', inputSchema }, { name: 'fail', inputSchema }, { name: 'sleep', inputSchema }]
  }))
  server.setRequestHandler(CallToolRequestSchema, async ({ params: { name, arguments: { a, b } = {} } }) => {
    if (name === 'sleep') await new Promise((resolve) => setTimeout(resolve, 5000).unref())
    if (name === 'fail') return { isError: true, content: [{ type: 'text', text: 'it always fails' }] }
    return { content: [{ type: 'text', text: String(Number(a) + Number(b)) }] }
  })
  return server
}
