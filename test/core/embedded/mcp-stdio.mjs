// an MCP server as a program: shows its arguments and one variable of its environment, ends itself, or refuses to
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'

if (process.argv.includes('--stubborn')) {
  process.on('SIGTERM', () => {})
  setInterval(() => {}, 1000)
}
const server = new Server({ name: 'program', version: '1' }, { capabilities: { tools: {} } })
const text = (text) => ({ content: [{ type: 'text', text }] })
server.setRequestHandler(ListToolsRequestSchema, () => ({
  tools: [
    { name: 'environment', description: 'Shows a variable', inputSchema: { type: 'object', properties: { name: { type: 'string' } } } },
    { name: 'arguments', inputSchema: { type: 'object' } },
    { name: 'quit', inputSchema: { type: 'object' } }
  ]
}))
server.setRequestHandler(CallToolRequestSchema, ({ params: { name, arguments: args } }) => {
  if (name === 'quit') process.exit(1)
  return text(name === 'environment' ? process.env[args.name] ?? 'unset' : JSON.stringify(process.argv.slice(2)))
})
await server.connect(new StdioServerTransport())
