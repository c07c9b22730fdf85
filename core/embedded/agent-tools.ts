import type { CallToolResult } from '@modelcontextprotocol/client'
import { reasonOf } from './mcp-failure.ts'
import type { McpConnection } from './mcp-connection.ts'
import { calculatorTool, type ToolEnd } from './tools.ts'

/** A tool of one of an agent's MCP servers, under a name that is its own among all tools of the agent. */
export interface AgentTool {
  name: string
  server: string
  /** the name that its server knows */
  remote: string
  description: string
  parameters: object
  call: (parameters: Record<string, unknown>, signal: AbortSignal) => Promise<Outcome>
}

/** How a call ended; a tool that fails has an outcome too. */
export type Outcome = { output: unknown } | { error: { code: string, message: string } }

const mostName = 64

/** The tools that the servers of an agent have told of. */
export function toolsOf (connections: McpConnection[]): AgentTool[] {
  const taken = new Set<string>([calculatorTool.function.name])
  return connections.flatMap((connection) => {
    connection.revive()
    const { definition: { name: server } } = connection
    return connection.tools.map(({ name: remote, description = '', inputSchema }) => {
      const name = freeName(server, remote, taken)
      const call: AgentTool['call'] = async (parameters, signal) => await outcomeOf(connection, { remote, parameters, signal })
      return { name, server, remote, description, parameters: inputSchema, call }
    })
  })
}

/** The end of a call as the stream tells it. */
export function endOf (id: string, outcome: Outcome): ToolEnd {
  return { id, ...outcome }
}

/** What an outcome says in words. */
export function wordsOf (outcome: Outcome): string {
  if ('error' in outcome) return outcome.error.message
  return typeof outcome.output === 'string' ? outcome.output : JSON.stringify(outcome.output)
}

/** Endpoints take letters, digits, `_` and `-` alone, and two servers may have a tool of one name. */
function freeName (server: string, tool: string, taken: Set<string>): string {
  const fit = (name: string) => name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, mostName)
  const names = [fit(tool), fit(`${server}_${tool}`), ...Array.from({ length: 1000 }, (_, at) => `${fit(tool).slice(0, mostName - 5)}_${at + 2}`)]
  const free = names.find((name) => !taken.has(name)) ?? fit(tool)
  taken.add(free)
  return free
}

async function outcomeOf (connection: McpConnection, { remote, parameters, signal }: { remote: string, parameters: Record<string, unknown>, signal: AbortSignal }): Promise<Outcome> {
  try {
    return resultOf(await connection.call(remote, parameters, signal))
  } catch (err) {
    if (signal.aborted) throw err
    const message = reasonOf(err, Object.values(connection.definition.credentials ?? {}))
    return { error: { code: connection.isConnected ? 'tool_failed' : 'server_unavailable', message } }
  }
}

function resultOf ({ content, structuredContent, isError = false }: CallToolResult): Outcome {
  const text = content.map((part) => part.type === 'text' ? part.text : `[${part.type}]`).join('\n')
  if (isError) return { error: { code: 'tool_error', message: text || 'the tool failed' } }
  return { output: structuredContent ?? text }
}
