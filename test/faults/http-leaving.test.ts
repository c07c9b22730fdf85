// Callers that leave: the Core's work ends, nothing is left running, nobody is told of an error that nobody handles.
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, vi } from 'vitest'
import { as, sharedWith, type Shared } from '../app.ts'
import { metric, tls } from './server.ts'

const overTcp = sharedWith()
const overTls = sharedWith(tls)

const unhandled: unknown[] = []
const note = (error: unknown) => { unhandled.push(error) }
beforeAll(() => { process.on('unhandledRejection', note) })
afterAll(() => { process.off('unhandledRejection', note) })

const bodyOf = (tokens: number) => JSON.stringify({ content: `[fake: tokens=${tokens} delay_ms=50]` })
/** Each with what the Core is asked, and whether anything is heard before the caller goes. */
const calls = {
  'a chat': { path: '/api/v1/chat', at: '/v1/chat', body: bodyOf(400) },
  'a stream': { path: '/api/v1/chat/stream', at: '/v1/chat', body: bodyOf(400) },
  'a read': { path: '/api/v1/agents', at: '/v1/agents', body: undefined }
}
type Call = keyof typeof calls
const everyCall = Object.keys(calls) as Call[]

/** Runs one call that breaks off when the Core has it, or with `heard` when the first event has come. */
async function breakOff ({ url, core }: Shared, call: Call, over: 'HTTP/1.1' | 'HTTP/2', heard: boolean): Promise<void> {
  const { path, at, body } = calls[call]
  const heal = body === undefined ? core.fail({ path: at, delayMs: 60_000 }) : () => {}
  const before = core.calls.length
  const headers = { ...as('admin'), ...(body !== undefined && { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }) }
  let text = ''
  const hear = (chunk: Buffer) => { text += chunk.toString() }
  const begun = async () => {
    await vi.waitFor(() => { expect(core.calls.slice(before).some(({ path }) => path === at)).toBe(true) }, 20_000)
    if (heard) await vi.waitFor(() => { expect(text).toContain('event: content') }, 20_000)
  }
  if (over === 'HTTP/2') {
    const session = connectHttp2(url, { rejectUnauthorized: false })
    const stream = session.request({ ':method': body === undefined ? 'GET' : 'POST', ':path': path, ...headers })
    stream.on('data', hear).on('error', () => {}).end(body)
    await begun()
    stream.close(8) // CANCEL
    await vi.waitFor(() => { expect(stream.closed).toBe(true) }, 20_000)
    session.destroy()
  } else {
    const { protocol, hostname, port } = new URL(url)
    const to = { host: hostname, port: Number(port) }
    const socket = protocol === 'https:' ? connectTls({ ...to, rejectUnauthorized: false }) : connectTcp(to)
    socket.on('data', hear).on('error', () => {})
    const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('')
    socket.write(`${body === undefined ? 'GET' : 'POST'} ${path} HTTP/1.1\r\nHost: x\r\n${head}\r\n${body ?? ''}`)
    await begun()
    socket.destroy()
  }
  await vi.waitFor(() => { expect(core.calls.slice(before).filter(({ path }) => path === at).map(({ aborted }) => aborted)).toEqual([true]) }, 20_000)
  heal()
}

/** The request for the metrics is one itself. */
const isIdle = async ({ app }: Shared) => {
  await vi.waitFor(async () => {
    expect(await metric(app, 'http_server_active_requests')).toBe(1)
    expect(await metric(app, 'muxi_api_sse_streams')).toBe(0)
  }, 20_000)
}

describe.for([['HTTP/1.1', overTcp], ['HTTP/1.1', overTls], ['HTTP/2', overTls]] as const)('over %s', ([over, test]) => {
  test.for(everyCall)('who leaves right after asking for %s ends the Core\'s work, and nothing is left', async (call, { app, core, lines, url }) => {
    const shared = { app, core, lines, url }
    await breakOff(shared, call, over, false)

    await isIdle(shared)
    expect(unhandled).toEqual([])
    expect(lines.all.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('who leaves in the midst of a stream ends the Core\'s work, and nothing is left', async ({ app, core, lines, url }) => {
    const shared = { app, core, lines, url }
    await breakOff(shared, 'a stream', over, true)

    await isIdle(shared)
    expect(unhandled).toEqual([])
    expect(lines.all.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('who leaves in the midst of a body has asked the Core for nothing, is told of in one line', async ({ app, core, lines, url }) => {
    const shared = { app, core, lines, url }
    const id = `half-${over.replace('/', '')}-${new URL(url).protocol.slice(0, -1)}`
    const before = core.calls.length
    if (over === 'HTTP/2') {
      const session = connectHttp2(url, { rejectUnauthorized: false })
      const stream = session.request({ ':method': 'POST', ':path': '/api/v1/chat', 'content-type': 'application/json', 'x-request-id': id, ...as('user') })
      stream.on('error', () => {}).write('{"content":')
      await new Promise((resolve) => setTimeout(resolve, 100))
      session.destroy()
    } else {
      const { protocol, hostname, port } = new URL(url)
      const to = { host: hostname, port: Number(port) }
      const socket = protocol === 'https:' ? connectTls({ ...to, rejectUnauthorized: false }) : connectTcp(to)
      socket.write(`POST /api/v1/chat HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\nAuthorization: ${as('user').authorization}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"content":`)
      await new Promise((resolve) => setTimeout(resolve, 100))
      socket.destroy()
    }

    // Over TCP alone it may still be there to read that its body is too short.
    await vi.waitFor(() => { expect(lines.of(id)).toEqual([expect.objectContaining({ message: 'request', statusCode: expect.toBeOneOf([400, 499]) })]) }, 20_000)
    expect(core.calls.slice(before).filter(({ path }) => path === '/v1/chat')).toEqual([])
    await isIdle(shared)
    expect(unhandled).toEqual([])
  })
})
