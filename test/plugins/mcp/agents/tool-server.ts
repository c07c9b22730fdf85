import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

interface Tool { name: string, description?: string, inputSchema?: unknown }
interface Call { name: string, arguments: Record<string, unknown> }

export interface ToolServer extends AsyncDisposable {
  url: string
  /** What it lists from now on. */
  tools: Tool[]
  /** The calls that reached it. */
  calls: Call[]
  /** Of calls that hang: how many were given up by who called. */
  left: number
}

/** A tool server that says whatever a test wants: the result of a call is what `answer` gives; text is sent as it is, undefined is no answer at all. */
export async function startToolServer (tools: Tool[], answer: (call: Call) => object | string | undefined = () => ({ content: [] })): Promise<ToolServer> {
  const state = { tools, calls: [] as Call[], left: 0 }
  const server = createServer((req, res) => {
    if (req.method !== 'POST') {
      res.writeHead(405).end()
      return
    }
    let text = ''
    req.on('data', (chunk: Buffer) => { text += chunk.toString() })
    req.on('end', () => { reply(JSON.parse(text) as { id?: unknown, method: string, params?: Call }, res) })
  })
  function reply ({ id, method, params }: { id?: unknown, method: string, params?: Call }, res: ServerResponse): void {
    const send = (body: object) => { res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id, ...body })) }
    if (id === undefined) res.writeHead(202).end()
    else if (method === 'initialize') send({ result: { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'odd', version: '1' } } })
    else if (method === 'tools/list') send({ result: { tools: state.tools.map((tool) => ({ inputSchema: { type: 'object' }, ...tool })) } })
    else if (method === 'tools/call') {
      state.calls.push(params!)
      const result = answer(params!)
      if (typeof result === 'string') res.writeHead(200, { 'content-type': 'application/json' }).end(result)
      else if (result !== undefined) send('error' in result ? result : { result })
      else res.once('close', () => { state.left++ })
    } else send({ error: { code: -32_601, message: 'no such method' } })
  }
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo // it listens on a port, not on a pipe
  return Object.assign(state, {
    url: `http://127.0.0.1:${port}/mcp`,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  })
}
