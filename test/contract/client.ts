import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import type { Target } from './target.ts'

/** A client of the 2026-07-28 revision that goes with its scope. */
export async function connect ({ url, keys }: Target, level: 'user' | 'admin'): Promise<Client & AsyncDisposable> {
  const client = new Client({ name: 'contract', version: '1' }, { versionNegotiation: { mode: { pin: '2026-07-28' } } })
  await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit: { headers: { authorization: `Bearer ${keys[level]}` } } }))
  return Object.assign(client, { [Symbol.asyncDispose]: async () => { await client.close() } })
}

/** What an operation answers as a tool; the body of the failure where it fails. */
export async function asTool (target: Target, level: 'user' | 'admin', name: string, args: Record<string, unknown> = {}): Promise<unknown> {
  await using client = await connect(target, level)
  const result = await client.callTool({ name, arguments: args })
  return result.isError === true ? JSON.parse(textIn(result)) : result.structuredContent
}

/** The names of the tools that a level is shown. */
export async function toolsFor (target: Target, level: 'user' | 'admin'): Promise<string[]> {
  await using client = await connect(target, level)
  return (await client.listTools()).tools.map(({ name }) => name)
}

export function textIn ({ content }: Awaited<ReturnType<Client['callTool']>>): string {
  const [first] = content
  return first?.type === 'text' ? first.text : ''
}
