import type { ToolDefinition } from '../tools.ts'
import { standalone } from './input-schema.ts'
import { namesOf, type Origin } from './names.ts'

/** What a tool server of an agent says that it has; nothing of it is to be trusted. */
export interface ServerTools { agent: string, server: string, tools: readonly { name?: unknown, description?: unknown, parameters?: unknown }[] }

/** A tool of an agent as it is listed, and where it comes from. */
export interface AgentTool { definition: ToolDefinition, origin: Origin }

const mostTools = 1_000
const mostOfServer = 200
const longestName = 256
const longestText = 2_000
// eslint-disable-next-line no-control-regex -- control characters are what is left out
const control = /[\u0000-\u0008\u000b-\u001f\u007f]/g

/** The tools of these servers as tools of this one, in a stable order. One that is wrong is left out, or made right. */
export function toolsIn (servers: readonly ServerTools[]): AgentTool[] {
  const found = servers.flatMap(({ agent, server, tools }) => {
    const ofServer = new Map([...tools].filter(isUsable).slice(0, mostOfServer).map((tool) => [tool.name, tool]))
    return [...ofServer.values()].map(({ name, description, parameters }) => ({ origin: { agent, server, tool: name }, description, parameters }))
  })
  found.sort((a, b) => order(a.origin, b.origin))
  const names = namesOf(found.map(({ origin }) => origin))
  return found.flatMap(({ origin, description, parameters }, i) => {
    const name = names[i]
    return name === undefined ? [] : { origin, definition: definitionOf(name, origin, description, parameters) }
  }).slice(0, mostTools)
}

function definitionOf (name: string, { agent, server, tool }: Origin, description: unknown, parameters: unknown): ToolDefinition {
  const said = typeof description === 'string' ? description.replace(control, '').trim().slice(0, longestText) : ''
  const title = `${agent}: ${tool}`
  return {
    name,
    title,
    description: `${said === '' ? tool : said}\n\nThe tool ${tool} of the tool server ${server}, as the agent ${agent} has it.`,
    inputSchema: standalone(parameters),
    // The Core does not tell more: a host should take it for a tool that changes something somewhere.
    annotations: { title, readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true }
  }
}

type Usable = ServerTools['tools'][number] & { name: string }

/** As a piece of a path, `.` and `..` would name another route; half of a surrogate pair has no place there. */
function isUsable (tool: ServerTools['tools'][number] | null): tool is Usable {
  const name = tool?.name
  return typeof name === 'string' && name.length <= longestName && !/^\.{0,2}$/.test(name) && !/\p{Cs}/u.test(name) && name.replace(control, '') === name
}

function order (a: Origin, b: Origin): number {
  for (const part of ['agent', 'server', 'tool'] as const) if (a[part] !== b[part]) return a[part] < b[part] ? -1 : 1
  return 0
}
