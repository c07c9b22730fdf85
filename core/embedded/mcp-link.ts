import { setTimeout as wait } from 'node:timers/promises'
import { type CallToolResult, Client, ProtocolError, StreamableHTTPClientTransport, type Tool } from '@modelcontextprotocol/client'
import { splitCommand } from './command-line.ts'
import type { McpServer } from './mcp-definition.ts'
import { McpProgram } from './mcp-program.ts'

/** An open connection to an MCP server, as long as it lasts. */
export interface Link {
  readonly sessionId: string | undefined
  readonly pid: number | undefined
  listTools: () => Promise<Tool[]>
  call: (name: string, parameters: Record<string, unknown>, signal: AbortSignal) => Promise<CallToolResult>
  close: () => Promise<void>
}

interface Listeners {
  /** the tools of the server, at the start and whenever they change */
  onTools: (tools: Tool[]) => void
  onClose: (link: Link) => void
  /** gives the attempt up */
  signal: AbortSignal
}
type Transport = StreamableHTTPClientTransport | McpProgram

const connectMs = 10_000
const callMs = 60_000
const politeMs = 500

/** Connects to a server over Streamable HTTP, or starts it as a program. */
export async function connect (definition: McpServer, listeners: Listeners): Promise<Link> {
  const { client, transport } = await negotiate(definition, listeners)
  const link = linkOf(client, transport)
  try {
    listeners.onTools(await link.listTools())
  } catch (err) {
    await link.close()
    throw err
  }
  client.onclose = () => listeners.onClose(link)
  return link
}

function linkOf (client: Client, transport: Transport): Link {
  return {
    get sessionId () { return transport instanceof StreamableHTTPClientTransport ? transport.sessionId : undefined },
    get pid () { return transport instanceof McpProgram ? transport.pid ?? undefined : undefined },
    listTools: async () => (await client.listTools(undefined, { cacheMode: 'refresh', timeout: connectMs })).tools,
    call: async (name, parameters, signal) => await client.callTool({ name, arguments: parameters }, { signal, timeout: callMs }),
    close: async () => {
      if (transport instanceof StreamableHTTPClientTransport) await Promise.race([transport.terminateSession().catch(() => {}), wait(politeMs)])
      await closeBoth(client, transport)
    }
  }
}

async function negotiate (definition: McpServer, listeners: Listeners): Promise<{ client: Client, transport: Transport }> {
  if (definition.type === 'http') return await handshake(definition, 'auto', listeners)
  try {
    return await handshake(definition, 'legacy', listeners)
  } catch (err) {
    // asking for the newest revision first would start every program twice
    if (!ProtocolError.isInstance(err)) throw err
    return await handshake(definition, 'auto', listeners)
  }
}

async function handshake (definition: McpServer, mode: 'auto' | 'legacy', { onTools, signal }: Listeners): Promise<{ client: Client, transport: Transport }> {
  const client = new Client({ name: 'muxi-embedded-core', version: '1' }, {
    versionNegotiation: { mode },
    listChanged: { tools: { onChanged: (_, tools) => { if (tools) onTools(tools) } } }
  })
  const transport = transportOf(definition)
  client.onerror = () => {} // what fails is told to whoever asked for it
  try {
    await client.connect(transport, { timeout: connectMs, signal })
    return { client, transport }
  } catch (err) {
    await closeBoth(client, transport)
    throw err
  }
}

async function closeBoth (client: Client, transport: Transport): Promise<void> {
  const closed = client.close().catch(() => {})
  await (transport instanceof McpProgram ? transport.end(closed) : closed)
}

function transportOf ({ url, command = '', credentials = {} }: McpServer): Transport {
  if (url !== undefined) {
    const { token } = credentials
    return new StreamableHTTPClientTransport(new URL(url), token === undefined ? {} : { requestInit: { headers: { authorization: `Bearer ${token}` } } })
  }
  const [program = '', ...args] = splitCommand(command) ?? []
  // the environment of this process stays its own, but for what a program needs to start at all
  return new McpProgram({ command: program, args, env: { ...credentials }, stderr: 'ignore' })
}
