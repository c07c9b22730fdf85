import { isCallToolResult, type CallToolResult } from '@modelcontextprotocol/server'

/** What the Core says that a tool answered. */
export interface CoreToolResult { content?: unknown, structured_content?: unknown, is_error?: unknown }

/** A model reads a small part of this, and every host would keep it in memory. */
export const mostBytes = 4 * 1_048_576

const kinds = new Set(['text', 'image', 'audio', 'resource', 'resource_link'])

/** A tool's answer as it is: text, images, sounds and links. What cannot be passed on becomes a failure that says so. */
export function resultOf ({ content = [], structured_content: structured, is_error: isError }: CoreToolResult): CallToolResult {
  if (!Array.isArray(content)) return failed('the tool gave an answer that cannot be used')
  const result = {
    content: content.map(known),
    ...(isObject(structured) && { structuredContent: structured }),
    ...(isError === true && { isError: true })
  }
  if (!isCallToolResult(result)) return failed('the tool gave an answer that cannot be used')
  const bytes = Buffer.byteLength(JSON.stringify(result))
  return bytes <= mostBytes ? result : failed(`the answer of the tool is too large (${bytes} bytes, ${mostBytes} at most): ask it for less`)
}

/** A failure that a model can act on. */
export function failed (text: string): CallToolResult {
  return { content: [{ type: 'text', text }], isError: true }
}

/** A kind of content that later revisions may have is named, so that the rest of the answer is not lost. */
function known (part: unknown): unknown {
  if (!isObject(part) || typeof part.type !== 'string' || kinds.has(part.type)) return part
  return { type: 'text', text: `[${part.type.slice(0, 64)}]` }
}

function isObject (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
