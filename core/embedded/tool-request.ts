import type { AgentTool } from './agent-tools.ts'

/** A tool that a message asks for; without parameters when they can't be read. */
export interface ToolRequest { tool: AgentTool, parameters: Record<string, unknown> | undefined }

const using = /\buse\s+(?:the\s+)?(?:tool\s+)?["'`]?([\w./-]*\w)/gi

/** The tool that a message names: `use add with {"a":1}`, `use add`, or `add: {"a":1}`. */
export function requestIn (message: string, tools: AgentTool[]): ToolRequest | undefined {
  for (const [named, name = ''] of [...message.matchAll(/^\s*([\w./-]+)\s*(?=:\s*\{)/g), ...message.matchAll(using)]) {
    const tool = tools.find((tool) => tool.name === name) ?? tools.find(({ remote, server }) => remote === name || `${server}/${remote}` === name)
    if (!tool) continue
    const rest = message.slice(message.indexOf(named) + named.length)
    const from = rest.indexOf('{')
    return { tool, parameters: from < 0 ? {} : objectIn(rest.slice(from, rest.lastIndexOf('}') + 1)) }
  }
}

function objectIn (text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}
