import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { request } from 'node:https'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'vitest'
import { buildApp } from '../app.ts'
import { as, configFor, keys, Lines, test as base } from './app.ts'

// Not an override: files share the module of the fixtures.
const test = base.extend({ settings: { MUXI_API_TLS_CERT: 'test/fixtures/tls/cert.pem', MUXI_API_TLS_KEY: 'test/fixtures/tls/key.pem' } })

async function overHttp2 (url: string, headers: Record<string, string>, body?: string): Promise<{ status: number, text: string }> {
  const session = connectHttp2(url, { rejectUnauthorized: false })
  const stream = session.request({ ...headers, ...(body !== undefined && { ':method': 'POST', 'content-type': 'application/json' }) })
  stream.end(body)
  let status = 0
  let text = ''
  stream.on('response', (head) => { status = Number(head[':status']) })
  stream.on('data', (chunk: Buffer) => { text += chunk.toString() })
  await once(stream, 'close')
  session.close()
  return { status, text }
}

test('with a certificate the server speaks HTTP/2, streams included', async ({ url }) => {
  const health = await overHttp2(url, { ':path': '/health' })
  const agents = await overHttp2(url, { ':path': '/api/v1/agents', ...as('admin') })
  const stream = await overHttp2(url, { ':path': '/api/v1/chat/stream', ...as('user') }, JSON.stringify({ content: '[fake: tokens=3]' }))

  expect(health).toEqual({ status: 200, text: '{"status":"ok"}' })
  expect(JSON.parse(agents.text)).toMatchObject({ agents: [{ id: 'greeter' }, { id: 'analyst' }] })
  expect([...stream.text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name)).toEqual(['message_start', 'content', 'content', 'content', 'message_end'])
})

test('and HTTP/1.1 on the same port, with HSTS', async ({ url }) => {
  const req = request(`${url}/api/v1/agents`, { rejectUnauthorized: false, headers: { 'x-api-key': keys.admin } }).end()
  const [res] = await once(req, 'response')
  res.resume()

  expect(res.httpVersion).toBe('1.1')
  expect(res.statusCode).toBe(200)
  expect(res.headers['strict-transport-security']).toBe('max-age=31536000; includeSubDomains')
})

test('a caller who leaves an HTTP/2 stream ends the Core\'s request', async ({ url, core }) => {
  const session = connectHttp2(url, { rejectUnauthorized: false })
  const stream = session.request({ ':path': '/api/v1/chat/stream', ':method': 'POST', 'content-type': 'application/json', ...as('user') })
  stream.end(JSON.stringify({ content: '[fake: tokens=200 delay_ms=20]' }))
  await once(stream, 'data')
  stream.close()

  await expect.poll(() => [...core.requests.values()].map(({ status }) => status), { timeout: 1_000 }).toEqual(['cancelled'])
  session.destroy()
})

test('a server that is closed is let go of, with all that it kept', async ({ core }) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const closed = await (async () => {
    const app = await buildApp(configFor(core), new Lines())
    await app.inject({ url: '/health' })
    await app.close()
    return new WeakRef(app)
  })()

  await expect.poll(() => {
    collect()
    return closed.deref() === undefined
  }).toBe(true)
})
