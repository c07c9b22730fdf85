// Requests that come slowly or never whole, over HTTP/1.1, TLS and HTTP/2. `request_timeout_ms` is as low as it may be.
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, vi } from 'vitest'
import { as, sharedWith } from '../app.ts'
import { metric, send, tls } from './server.ts'

const shortly = { MUXI_API_REQUEST_TIMEOUT_MS: '1000' }
const overTcp = sharedWith(shortly)
const overTls = sharedWith({ ...shortly, ...tls })
/** The limit, the 500 ms between two looks, and a slow machine. */
const latest = 3_500

const head = (id: string) => `POST /api/v1/agents HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\nAuthorization: ${as('admin').authorization}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n`

describe.for([['TCP', overTcp], ['TLS', overTls]] as const)('over %s', ([name, test]) => {
  test.concurrent.for([
    ['a body that stops', `${head('stops')}\r\n{"id":`, undefined],
    ['a body that drips', `${head('drips')}\r\n{`, 'x']
  ] as const)('%s is 408 and the end of the connection, one line under the request\'s own id', async ([, bytes, drip], { url, lines }) => {
    const id = /X-Request-Id: (\w+)/.exec(bytes)![1]!
    const { text, ms } = await send(url, bytes, drip)

    expect(text).toMatch(/^HTTP\/1\.1 408 [^]*\r\nconnection: close\r\n/i)
    expect(JSON.parse(text.split('\r\n\r\n')[1]!)).toEqual({ error: { code: 'request_timeout', message: 'the request did not arrive in time', request_id: id } })
    expect(ms).toBeGreaterThan(900)
    expect(ms).toBeLessThan(latest)
    await vi.waitFor(() => { expect(lines.of(id)).toEqual([expect.objectContaining({ message: 'request', statusCode: 408, error: 'request_timeout' })]) }, 20_000)
  })

  test.concurrent.for([
    ['nothing at all', '', undefined],
    ['headers that stop', head('none'), undefined],
    ['a header that drips', `${head('none')}X-Slow: `, 'x'],
    ['headers that drip', head('none'), 'X: y\r\n']
  ] as const)('%s is 408 and the end of the connection, one line', async ([, bytes, drip], { url, lines }) => {
    const { text, ms } = await send(url, bytes, drip)
    const body = JSON.parse(text.split('\r\n\r\n')[1]!) as { error: { request_id: string } }

    expect(text).toMatch(/^HTTP\/1\.1 408 [^]*\r\nConnection: close\r\n/)
    expect(body).toMatchObject({ error: { code: 'request_timeout', request_id: expect.stringMatching(/^req_/) } })
    expect(ms).toBeLessThan(latest)
    await vi.waitFor(() => { expect(lines.of(body.error.request_id)).toEqual([expect.objectContaining({ message: 'request refused by the parser', error: 'request_timeout' })]) }, 20_000)
  })

  test('both kinds are counted', async ({ app, url }) => {
    await Promise.all([send(url, head('counted')), send(url, `${head('counted')}\r\n{`)])

    expect(await metric(app, 'muxi_api_refused_total', 'code="request_timeout"')).toBeGreaterThan(0)
    await expect.poll(async () => await metric(app, 'http_server_request_duration_seconds_count', 'status_code="408"', 'operation="agent_create"')).toBeGreaterThan(0)
  })

  test.skipIf(name === 'TCP')('what is no TLS is not answered', async ({ url }) => {
    const { text, ms } = await send(url.replace('https', 'http'), 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n')

    expect(text).toBe('')
    expect(ms).toBeLessThan(latest)
  })
})

describe('over HTTP/2', () => {
  const test = overTls

  async function call (url: string, headers: Record<string, string>, drips: boolean): Promise<{ headers: IncomingHttpHeaders, text: string, ms: number }> {
    const session = connectHttp2(url, { rejectUnauthorized: false })
    const stream = session.request(headers, { endStream: false })
    const answer = { headers: {} as IncomingHttpHeaders, text: '', ms: performance.now() }
    stream.on('response', (got) => { answer.headers = got })
    stream.on('data', (chunk: Buffer) => { answer.text += chunk.toString() })
    stream.on('error', () => {})
    stream.write('{')
    const dripping = drips ? setInterval(() => { if (!stream.closed) stream.write('x') }, 100) : undefined
    // The server's reset counts; the event of it may wait behind what the client has still to write.
    while (!stream.closed && !stream.destroyed && performance.now() - answer.ms < 2 * latest) await sleep(10)
    clearInterval(dripping)
    session.destroy()
    return { ...answer, ms: performance.now() - answer.ms }
  }

  test.concurrent.for([['stops', false], ['drips', true]] as const)('a body that %s is 408 and the end of the stream', async ([name, drips], { url, lines }) => {
    const id = `h2-${name}`
    const { headers, text, ms } = await call(url, { ':method': 'POST', ':path': '/api/v1/agents', 'content-type': 'application/json', 'x-request-id': id, ...as('admin') }, drips)

    expect(headers).toMatchObject({ ':status': 408, 'x-request-id': id })
    expect(JSON.parse(text)).toMatchObject({ error: { code: 'request_timeout', request_id: id } })
    expect(ms).toBeLessThan(latest)
    await vi.waitFor(() => { expect(lines.of(id)).toEqual([expect.objectContaining({ statusCode: 408, error: 'request_timeout' })]) }, 20_000)
  })

  test.concurrent('a body that nobody reads ends with the answer', async ({ url }) => {
    const { headers, ms } = await call(url, { ':method': 'POST', ':path': '/api/v1/agents', 'content-type': 'application/json' }, true)

    expect(headers[':status']).toBe(401)
    expect(ms).toBeLessThan(latest)
  })

  test.concurrent('a body that comes in time is taken, and nothing happens after', async ({ url, lines }) => {
    const session = connectHttp2(url, { rejectUnauthorized: false })
    const stream = session.request({ ':method': 'POST', ':path': '/api/v1/chat', 'content-type': 'application/json', 'x-request-id': 'in-time', ...as('user') })
    stream.end(JSON.stringify({ content: '[fake: tokens=3 delay_ms=600]' }))
    let text = ''
    stream.on('data', (chunk: Buffer) => { text += chunk.toString() })
    await new Promise((resolve) => { stream.once('close', resolve) })
    session.destroy()

    expect(JSON.parse(text)).toHaveProperty('agent_response')
    expect(lines.of('in-time')).toMatchObject([{ statusCode: 200 }])
  })
})
