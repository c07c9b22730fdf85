import type { Config } from '../../config.ts'
import { type Check, check, failed, type Finding, ok, warning } from './check.ts'
import { membersOf, refusalOf, visit, type Answer, type Place } from './visit.ts'

const [latest, older] = ['2026-07-28', '2025-06-18']
const client = { name: 'muxi-api-doctor', version: '1' }

/** Whether hosts find the tools, by the latest revision and by those of 2025. */
export async function checkMcp (place: Place, { mcp, public_url: publicUrl }: Config['api'], key: string | undefined): Promise<Check> {
  return await check('mcp', 'MCP', async () => {
    if (!mcp) return ok('switched off by api.mcp')
    if (key === undefined) return warning('not checked: no key of a user', 'set MUXI_API_DOCTOR_KEY (or --key), or core.client_key')
    const send = async (method: string, params: object, headers: Record<string, string> = {}) => await visit(place, '/mcp', {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, accept: 'application/json, text/event-stream', ...headers },
      body: { jsonrpc: '2.0', id: 1, method, params }
    })
    const modern = async (method: string) => await send(method, { _meta: envelope }, { 'mcp-protocol-version': latest, 'mcp-method': method })
    const [discovered, listed, begun] = await Promise.all([
      modern('server/discover'), modern('tools/list'), send('initialize', { protocolVersion: older, capabilities: {}, clientInfo: client })
    ])
    for (const answer of [discovered, listed, begun]) if (answer.status === 403) return hostile(place, publicUrl, answer)
    for (const [name, answer] of Object.entries({ 'server/discover': discovered, 'tools/list': listed, initialize: begun })) {
      if (resultIn(answer) === undefined) return failed(`${name}: ${refused(answer)}`, 'the proxy must pass POST /mcp on with the Mcp-* headers; see the line of the key, too')
    }
    const { tools } = resultIn(listed) as { tools?: unknown[] }
    return ok(`${latest} and ${older}; ${tools?.length ?? 0} tools for this key`)
  })
}

const envelope = {
  'io.modelcontextprotocol/protocolVersion': latest,
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': client
}

/** The result of an answer in JSON or as an event. */
function resultIn ({ text }: Answer): unknown {
  return membersOf(/^data: (\{.*)$/m.exec(text)?.[1] ?? text).result
}

function refused (answer: Answer): string {
  const { error } = membersOf(answer.text) as { error?: { code?: unknown, message?: string } }
  return typeof error?.code === 'number' ? `${answer.status} ${error.message}` : refusalOf(answer)
}

/** /mcp takes no foreign Host, so that no web page gets at it by a name of its own. */
function hostile ({ url }: Place, publicUrl: string | undefined, answer: Answer): Finding {
  const { hostname } = new URL(url)
  return failed(`${refused(answer)} (${hostname})`, publicUrl === undefined || new URL(publicUrl).hostname !== hostname
    ? `set api.public_url (MUXI_API_PUBLIC_URL) to ${url}, and restart the server`
    : 'let the proxy pass Host on as it is, or restart the server with api.public_url as it is here')
}
