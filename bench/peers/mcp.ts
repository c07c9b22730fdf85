import { createMcpHandler, fromJsonSchema, McpServer } from '@modelcontextprotocol/server'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Pool } from 'undici'
import { listensAt } from './listen.ts'

// The SDK's own handler as its README has it, on node:http: one tool that passes a JSON answer on, with no key and no log.

const [core = '', key = '', tool = ''] = process.argv.slice(2)
/** What the tool says of itself to hosts; the SDK holds calls and answers to it. */
const { inputSchema, outputSchema } = JSON.parse(tool) as Record<'inputSchema' | 'outputSchema', object>
const declared = { description: 'List the agents', inputSchema: fromJsonSchema(inputSchema), outputSchema: fromJsonSchema(outputSchema) }
const pool = new Pool(core, { connections: 128 })
const coreHeaders = { 'x-muxi-admin-key': key }

const { fetch: answer } = createMcpHandler(() => {
  const mcp = new McpServer({ name: 'peer', version: '1.0.0' })
  mcp.registerTool('agent_list', declared, async () => {
    const { body } = await pool.request({ method: 'GET', path: '/v1/agents', headers: coreHeaders })
    const { data: { agents } } = await body.json() as { data: { agents: object[] } }
    const list = { agents, pagination: { total: agents.length, limit: 50, offset: 0, next_offset: null } }
    return { content: [{ type: 'text', text: JSON.stringify(list) }], structuredContent: list }
  })
  return mcp
})

const server = createServer((req, res) => {
  const chunks: Buffer[] = []
  req.on('data', (chunk: Buffer) => { chunks.push(chunk) })
  req.once('end', () => {
    const { method = 'GET', url = '/', headers } = req
    const request = new Request(`http://${headers.host}${url}`, { method, headers: headers as Record<string, string> })
    answer(request, { parsedBody: JSON.parse(Buffer.concat(chunks).toString()) })
      .then(async (response) => {
        const text = Buffer.from(await response.arrayBuffer())
        res.writeHead(response.status, { ...Object.fromEntries(response.headers), 'content-length': text.length }).end(text)
      })
      .catch(() => { res.writeHead(500).end() })
  })
})
server.listen(0, '127.0.0.1', () => { listensAt((server.address() as AddressInfo).port) })
