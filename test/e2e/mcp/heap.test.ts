import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test as base } from 'vitest'
import { startEmbeddedCore } from '../../../core/embedded/index.ts'
import { as, keys } from '../../app.ts'
import { root } from '../processes.ts'

interface Server { url: string, heap: () => Promise<number> }

/** What the server process answers with when it is asked: the heap that is in use after a collection. */
const probe = 'process.on("message", () => { gc(); process.send(process.memoryUsage().heapUsed) })'
const json = { ...as('admin'), 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
const revision = { 'mcp-protocol-version': '2025-11-25' }

const test = base.extend<{ server: Server }>({
  server: async ({}, use) => {
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
    const child = spawn(process.execPath, ['--expose-gc', '--import', `data:text/javascript,${encodeURIComponent(probe)}`, join(root, 'dist/cli/index.js'), 'start', '--port', '0'], {
      // A short log of events, so that it is full before anything is measured.
      env: { PATH: process.env.PATH, MUXI_CORE_URI: core.url, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_API_RATE_LIMIT: '0', MUXI_API_RATE_LIMIT_MCP: '0', MUXI_API_MCP_SESSION_MS: '1000', MUXI_API_EVENTS_HISTORY: '1000' },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc']
    })
    try {
      await use({ url: await listening(child), heap: async () => await heapOf(child) })
    } finally {
      const ended = child.exitCode === null ? once(child, 'exit') : undefined
      // Else the channel keeps it alive.
      child.disconnect()
      child.kill('SIGTERM')
      await ended
      await core.close()
    }
  }
})

test('1000 sessions that are opened and abandoned leave nothing behind when they have expired', { timeout: 300_000 }, async ({ server }) => {
  await abandon(server, 200)
  // What was opened before is gone: it is not what those after it are measured against.
  const before = await lowest(server, 25_000)
  await abandon(server, 1_000)
  const meanwhile = await server.heap()
  await expect.poll(async () => await server.heap() / before, { timeout: 150_000, interval: 2_000 }).toBeLessThan(1.1)
  const after = await server.heap()

  process.stderr.write(`heap: ${mib(before)} MiB before, ${mib(meanwhile)} MiB with 1000 sessions, ${mib(after)} MiB after they expired\n`)
  expect(after / before).toBeLessThan(1.1)
})

const mib = (bytes: number) => (bytes / 1_048_576).toFixed(1)

async function listening ({ stdout }: ChildProcess): Promise<string> {
  return await new Promise((resolve, reject) => {
    createInterface(stdout!)
      .on('line', (line) => {
        const url = /listening on (http:\/\/[^"\s]+)/.exec(line)?.[1]
        if (url !== undefined) resolve(url)
      })
      .on('close', () => { reject(new Error('the server ended before it listened')) })
  })
}

async function heapOf (child: ChildProcess): Promise<number> {
  child.send('heap')
  const [heap] = await once(child, 'message') as [number]
  return heap
}

/** The heap when it has stopped becoming smaller. */
async function lowest ({ heap }: Server, ms: number): Promise<number> {
  let least = Infinity
  for (const end = performance.now() + ms; performance.now() < end;) {
    least = Math.min(least, await heap())
    await new Promise((resolve) => { setTimeout(resolve, 5_000) })
  }
  return least
}

/** Opens sessions, uses each in one of the ways that hosts do, and never comes back. */
async function abandon ({ url }: Server, amount: number): Promise<void> {
  const ways = [async () => {}, callTool, callAndLeave, listen]
  let next = 0
  const work = async () => {
    for (let i = next++; i < amount; i = next++) {
      const res = await post(url, {}, { id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'heap', version: '1' } } })
      const session = { ...revision, 'mcp-session-id': res.headers.get('mcp-session-id')! }
      await post(url, session, { method: 'notifications/initialized' })
      await ways[i % ways.length]!(url, session)
    }
  }
  await Promise.all(Array.from({ length: 16 }, work))
}

async function callTool (url: string, session: Record<string, string>): Promise<void> {
  await post(url, session, { id: 1, method: 'tools/call', params: { name: 'agent_list', arguments: {} } })
}

/** Goes while the answer is a stream. */
async function callAndLeave (url: string, session: Record<string, string>): Promise<void> {
  const leave = new AbortController()
  const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'chat_send', arguments: { content: 'Count [fake: tokens=5 delay_ms=300]', user_id: 'u1' } } }
  await fetch(`${url}/mcp`, { method: 'POST', headers: { ...json, ...session }, body: JSON.stringify(body), signal: leave.signal })
  leave.abort()
}

async function listen (url: string, session: Record<string, string>): Promise<void> {
  const leave = new AbortController()
  const { status } = await fetch(`${url}/mcp`, { headers: { ...json, ...session }, signal: leave.signal })
  leave.abort()
  expect(status).toBe(200)
}

async function post (url: string, headers: Record<string, string>, message: object): Promise<Response> {
  const res = await fetch(`${url}/mcp`, { method: 'POST', headers: { ...json, ...headers }, body: JSON.stringify({ jsonrpc: '2.0', ...message }) })
  const text = await res.text()
  if (!res.ok || text.includes('"error"')) throw new Error(`${JSON.stringify(message)} ${res.status} ${text}`)
  return res
}
