/** One JSON-RPC message as it came; `text` is what goes on, unchanged. */
export interface Message {
  text: string
  id: string | number | undefined
  method: string | undefined
  params: Record<string, unknown>
  /** The revision that its envelope names, where it has one (MCP 2026-07-28, `_meta`). */
  revision: string | undefined
}

/** A line that is no message, and the error that answers it. */
export interface Fault { code: number, message: string }

const versionKey = 'io.modelcontextprotocol/protocolVersion'
/** Which member of `params` the header Mcp-Name repeats (MCP 2026-07-28, Standard Request Headers). */
const nameOf: Record<string, string> = { 'tools/call': 'name', 'prompts/get': 'name', 'resources/read': 'uri', 'tasks/get': 'taskId', 'tasks/update': 'taskId', 'tasks/cancel': 'taskId' }

/** The messages of a line: one, or those of a batch. */
export function messagesIn (line: string): Message[] | Fault {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return { code: -32_700, message: 'this line is no JSON: send one message of JSON-RPC 2.0 a line' }
  }
  const messages = Array.isArray(value) ? value.map((one) => messageOf(one, JSON.stringify(one))) : [messageOf(value, line)]
  return messages.length > 0 && messages.every((message) => message !== undefined) ? messages : { code: -32_600, message: 'this is no message of JSON-RPC 2.0' }
}

/** Whether it wants an answer. */
export const isRequest = (message: Message): message is Message & { id: string | number, method: string } => message.method !== undefined && message.id !== undefined

/** What the headers of a message must say of it. Older revisions agree on one once, which is `agreed`. */
export function headersOf ({ id, method, params, revision }: Message, agreed: string | undefined): Record<string, string> {
  if (revision === undefined) return agreed === undefined ? {} : { 'mcp-protocol-version': agreed }
  if (id === undefined) return { 'mcp-protocol-version': encoded(revision) }
  const name = Object.hasOwn(nameOf, method!) ? params[nameOf[method!]!] : undefined
  return { 'mcp-protocol-version': encoded(revision), 'mcp-method': encoded(method!), ...(typeof name === 'string' && { 'mcp-name': encoded(name) }) }
}

/** As a value of a header; what cannot stand there goes as base64 (MCP 2026-07-28, Value Encoding). */
export function encoded (value: string): string {
  const isPlain = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/.test(value) && !/^=\?base64\?.*\?=$/.test(value)
  return isPlain ? value : `=?base64?${Buffer.from(value).toString('base64')}?=`
}

/** A message of ours, as a line. */
export const lineOf = (message: object): string => JSON.stringify({ jsonrpc: '2.0', ...message })

/** What a message from the server is; undefined where it is none. */
export function membersOf (text: string): { id?: unknown, method?: unknown, result?: unknown, error?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) && value.jsonrpc === '2.0' ? value : undefined
  } catch {
    return undefined
  }
}

function messageOf (value: unknown, text: string): Message | undefined {
  if (!isRecord(value) || value.jsonrpc !== '2.0') return undefined
  const { id, method, params } = value
  const isNamed = typeof id === 'string' || typeof id === 'number'
  if ((id !== undefined && !isNamed) || (method === undefined ? !isNamed || !('result' in value || 'error' in value) : typeof method !== 'string')) return undefined
  const known = isRecord(params) ? params : {}
  const meta = known._meta
  const revision = isRecord(meta) && typeof meta[versionKey] === 'string' ? meta[versionKey] : undefined
  return { text, id, method: method as string | undefined, params: known, revision }
}

export function isRecord (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
