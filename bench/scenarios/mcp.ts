import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLoad, startPeer, startServer, type Served } from '../processes.ts'
import type { Burst, Order } from '../load.ts'
import type { Figure, Options, Outcome } from '../report.ts'

const key = 'sk_muxi_admin_000000000000000000000000'
const connections = 32
// On, but never reached: a limit that is off would cost nothing.
const huge = String(1_000_000_000)
const client = { name: 'bench', version: '1.0.0' }
const json = { authorization: `Bearer ${key}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

type Request = Omit<Order, 'connections' | 'seconds'>
interface Subject { served: Served, request: Request }
interface Measured { cpuMicros: number, perSecond: number, latencyMs: number }

const [get, latest, session, sdk] = ['the GET', 'tools/call of 2026-07-28', 'tools/call of a 2025 session', 'tools/call of SDK 2.4'] as const

/** The list of the agents as a tool, in both eras, against the same list by GET and against the SDK's own handler. */
export default async function mcp ({ quick, say }: Options): Promise<Outcome> {
  const { warmUp, rounds, seconds } = quick ? { warmUp: 1.5, rounds: 3, seconds: 1 } : { warmUp: 5, rounds: 9, seconds: 4 }
  const cwd = await mkdtemp(join(tmpdir(), 'muxi-api-bench-'))
  try {
    const core = await startPeer('core')
    const served = await startServer({ env: environment(core.url), cwd })
    const peer = await startPeer('mcp', core.url, key, await toolOf(`${served.url}/mcp`))
    const subjects: Record<string, Subject> = {
      [get]: { served, request: { url: `${served.url}/api/v1/agents`, headers: { authorization: json.authorization } } },
      [latest]: { served, request: latestCall(`${served.url}/mcp`) },
      [session]: { served, request: await sessionCall(`${served.url}/mcp`) },
      [sdk]: { served: peer, request: latestCall(`${peer.url}/mcp`) }
    }
    const load = startLoad<Order, Burst>()
    const measured = new Map<string, Measured[]>()
    for (const [name, subject] of Object.entries(subjects)) {
      await checked(name, subject.request)
      say(`warm-up of ${name}`)
      await measure(name, subject, load, warmUp)
      measured.set(name, [])
    }
    for (let round = 1; round <= rounds; round++) {
      for (const [name, subject] of Object.entries(subjects)) measured.get(name)!.push(await measure(name, subject, load, seconds))
      say(`round ${round} of ${rounds}: ${[...measured].map(([name, all]) => `${name} ${all.at(-1)!.cpuMicros.toFixed(0)} µs`).join(', ')}`)
    }
    return {
      how: `agent_list, ${connections} connections, ${rounds} interleaved rounds of ${seconds} s`,
      figures: figuresOf(measured)
    }
  } finally {
    await rm(cwd, { recursive: true, force: true })
  }
}

function environment (core: string): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    MUXI_CORE_URI: core,
    MUXI_CORE_ADMIN_KEY: key,
    MUXI_API_PORT: '0',
    MUXI_API_RATE_LIMIT: huge,
    MUXI_API_RATE_LIMIT_SUBJECT: huge,
    MUXI_API_RATE_LIMIT_MCP: huge
  }
}

/** What our tool says of itself: the peer's says the same. */
async function toolOf (url: string): Promise<string> {
  const res = await post(url, json, { jsonrpc: '2.0', id: 0, method: 'tools/list' })
  const { result } = JSON.parse((await res.text()).replace(/^(?:event: .*\n|id: .*\n|:.*\n|\n)*data: /, '')) as { result: { tools: { name: string }[] } }
  return JSON.stringify(result.tools.find(({ name }) => name === 'agent_list'))
}

function latestCall (url: string): Request {
  const envelope = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': client
  }
  return {
    url,
    headers: { ...json, 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'agent_list' },
    body: JSON.stringify({ jsonrpc: '2.0', id: '[<id>]', method: 'tools/call', params: { name: 'agent_list', arguments: {}, _meta: envelope } })
  }
}

/** Opens a session for each connection, as each would be another host. */
async function sessionCall (url: string): Promise<Request> {
  const revision = '2025-11-25'
  const headers = { ...json, 'mcp-protocol-version': revision }
  const each: Record<string, string>[] = []
  while (each.length < connections) {
    const res = await post(url, json, { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: revision, capabilities: {}, clientInfo: client } })
    const id = res.headers.get('mcp-session-id')
    if (id === null) throw new Error(`initialize answers ${res.status} without a session`)
    const own = { 'mcp-session-id': id }
    await post(url, { ...headers, ...own }, { jsonrpc: '2.0', method: 'notifications/initialized' })
    each.push(own)
  }
  return { url, headers, each, body: JSON.stringify({ jsonrpc: '2.0', id: '[<id>]', method: 'tools/call', params: { name: 'agent_list', arguments: {} } }) }
}

async function post (url: string, headers: Record<string, string>, body: object | string): Promise<Response> {
  const res = await fetch(url, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) })
  if (!res.ok) throw new Error(`${url} answers ${res.status} ${await res.text()}`)
  return res
}

/** Figures of a server that answers something else would be worth nothing. */
async function checked (name: string, { url, headers, body, each = [{}] }: Request): Promise<void> {
  const res = body === undefined ? await fetch(url, { headers }) : await post(url, { ...headers, ...each[0] }, body)
  const text = await res.text()
  // As structure, where it is a tool's.
  if (!text.includes('"id":"analyst"') || text.includes('isError')) throw new Error(`${name} answers ${res.status} ${text.slice(0, 400)}`)
}

async function measure (name: string, { served: { usage }, request }: Subject, load: (order: Order) => Promise<Burst>, seconds: number): Promise<Measured> {
  const before = await usage()
  const { requests, perSecond, latencyMs, failures } = await load({ ...request, connections, seconds })
  const after = await usage()
  if (failures > 0 || requests === 0) throw new Error(`${name}: ${failures} of ${requests} requests failed`)
  return { cpuMicros: (after.cpuMs - before.cpuMs) * 1_000 / requests, perSecond, latencyMs }
}

function figuresOf (measured: Map<string, Measured[]>): Figure[] {
  const ratio = (one: string, other: string, target?: Figure['target']): Figure => ({
    what: `CPU, ${one} : ${other}`,
    unit: '×',
    values: measured.get(one)!.map(({ cpuMicros }, round) => cpuMicros / measured.get(other)![round]!.cpuMicros),
    ...(target !== undefined && { target })
  })
  const single = (what: string, unit: string, pick: (one: Measured) => number) =>
    [...measured].map(([name, all]): Figure => ({ what: `${what}, ${name}`, unit, values: all.map(pick) }))
  return [
    ratio(latest, get, 'tool'),
    ratio(latest, sdk, 'sdk'),
    ratio(session, get),
    ratio(session, latest),
    ...single('CPU per request', 'µs', ({ cpuMicros }) => cpuMicros),
    ...single('requests per second', '1/s', ({ perSecond }) => perSecond),
    ...single('mean latency', 'ms', ({ latencyMs }) => latencyMs)
  ]
}
