import type { TSchema } from '@sinclair/typebox'
import type { Config } from '../../config.ts'
import { answers, clientFrames, closeCodes, serverFrames, subprotocol, wsConnect, type ClientType, type ServerType } from '../../schemas/socket.ts'
import { path } from './upgrades.ts'

type Side = 'client' | 'server'
type Json = Record<string, unknown>

/** The AsyncAPI 3.0 document of the socket, made from the table of its frames, as this server sees it: it receives what clients send. */
export function asyncapiOf (version: string, api: Readonly<Config['api']>): object {
  const shared = new Map<string, unknown>()
  const messages = {
    ...Object.fromEntries(Object.entries(clientFrames).map(([type, schema]) => [nameOf('client', type), messageOf(type, schema, shared)])),
    ...Object.fromEntries(Object.entries(serverFrames).map(([type, schema]) => [nameOf('server', type), messageOf(type, schema, shared)]))
  }
  const types = Object.keys(clientFrames) as ClientType[]
  const unasked: ServerType[] = ['going_away', 'rtc_end', 'error']
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'MUXI API: the socket',
      version,
      description,
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
      tags: [{ name: 'socket', description: 'Chat and signaling over one WebSocket' }]
    },
    defaultContentType: 'application/json',
    servers: { this: { ...placeOf(api), description: 'This server', security: Object.keys(securitySchemes).map((name) => reference(`components/securitySchemes/${name}`)) } },
    channels: {
      socket: {
        address: path,
        title: wsConnect.summary,
        description: wsConnect.description,
        messages: Object.fromEntries(Object.keys(messages).map((name) => [name, reference(`components/messages/${name}`)])),
        bindings: { ws: { method: 'GET', query: plain(wsConnect.querystring), bindingVersion: '0.1.0' } }
      }
    },
    operations: {
      ...Object.fromEntries(types.map((type) => [`receive_${type}`, {
        action: 'receive',
        channel: reference('channels/socket'),
        summary: clientFrames[type].description,
        messages: [ofChannel('client', type)],
        reply: { channel: reference('channels/socket'), messages: [...answers[type], 'error' as const].map((answer) => ofChannel('server', answer)) }
      }])),
      ...Object.fromEntries(unasked.map((type) => [`send_${type}`, {
        action: 'send',
        channel: reference('channels/socket'),
        summary: serverFrames[type].description,
        messages: [ofChannel('server', type)]
      }]))
    },
    components: { messages, schemas: Object.fromEntries([...shared].sort(([a], [b]) => a < b ? -1 : 1)), securitySchemes }
  }
}

const description = [
  'Text frames, each one JSON object: `type` says what it is, `id` which request it belongs to, `data` is what it says. Binary frames are refused, compression is not offered.',
  'At most 64 KiB for a frame, 16 MiB for `chat`; one larger than 64 KiB at a time.',
  `Close codes:\n\n| code | why |\n| --- | --- |\n${Object.entries(closeCodes).map(([code, why]) => `| ${code} | ${why} |`).join('\n')}`
].join('\n\n')

const securitySchemes = {
  key: { type: 'http', scheme: 'bearer', description: 'A key of the MUXI Core' },
  header: { type: 'httpApiKey', in: 'header', name: 'X-API-Key', description: 'The same key' },
  subprotocol: { type: 'httpApiKey', in: 'header', name: 'Sec-WebSocket-Protocol', description: `\`${subprotocol}, bearer.<key>\`, for pages. The answer names \`${subprotocol}\` alone` },
  ticket: { type: 'httpApiKey', in: 'query', name: 'ticket', description: 'A ticket of `stream_ticket_create`, good for 30 s and once' }
}

function messageOf (type: string, schema: TSchema, shared: Map<string, unknown>): Json {
  const { description: summary, ...payload } = plain(schema)
  return { name: type, title: type, summary, payload: hoisted(payload, shared) }
}

/** What has a title is named once; the same title with other contents stays where it is. */
function hoisted (value: unknown, shared: Map<string, unknown>): unknown {
  if (Array.isArray(value)) return value.map((one) => hoisted(one, shared))
  if (typeof value !== 'object' || value === null) return value
  const inner = Object.fromEntries(Object.entries(value).map(([name, one]) => [name, name === 'examples' ? one as unknown : hoisted(one, shared)]))
  if (typeof inner.title !== 'string') return inner
  const known = shared.get(inner.title)
  if (known === undefined) shared.set(inner.title, inner)
  return known === undefined || JSON.stringify(known) === JSON.stringify(inner) ? reference(`components/schemas/${inner.title}`) : inner
}

function placeOf ({ public_url: url, host, port, tls_cert: cert }: Readonly<Config['api']>): Json {
  if (url !== undefined) {
    const { host: name, protocol, pathname } = new URL(url)
    return { host: name, protocol: protocol === 'https:' ? 'wss' : 'ws', ...(pathname !== '/' && { pathname: pathname.replace(/\/+$/, '') }) }
  }
  return { host: `${host.includes(':') ? `[${host}]` : host}:${port}`, protocol: cert === undefined ? 'ws' : 'wss' }
}

function nameOf (side: Side, type: string): string {
  return `${side}_${type}`
}

function ofChannel (side: Side, type: string): Json {
  return reference(`channels/socket/messages/${nameOf(side, type)}`)
}

function reference (to: string): Json {
  return { $ref: `#/${to}` }
}

/** Without TypeBox's symbols. */
function plain (schema: TSchema): Json {
  return JSON.parse(JSON.stringify(schema)) as Json
}
