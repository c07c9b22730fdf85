import { connect } from 'node:http2'
import { request } from 'node:https'
import { networkInterfaces } from 'node:os'
import { describe, expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { as, test } from '../app.ts'

const outside = { remoteAddress: '203.0.113.7' }
const codeOf = (res: { json: () => unknown }) => (res.json() as { error?: { code: string } }).error?.code
/** The security event of a key that a request brought in clear text. */
const exposed = ({ headers }: { headers: Record<string, unknown> }): unknown => expect.objectContaining({
  audit: expect.objectContaining({ event: 'key_exposed', request_id: headers['x-request-id'], address: outside.remoteAddress, key: expect.stringMatching(/^[\w-]{12}$/) as unknown }) as unknown
})
/** An address of this machine that others reach. */
const own = Object.values(networkInterfaces()).flat().find((found) => found?.internal === false && found.family === 'IPv4')?.address

describe('without api.require_https', () => {
  test('clear text is answered', async ({ app }) => {
    expect((await app.inject({ url: '/api/v1/agents', headers: as('admin'), ...outside })).statusCode).toBe(200)
  })

  test('listening beyond loopback without TLS is told once, on loopback it is not', async ({ app, lines }) => {
    const told = () => lines.all.filter(({ level, message }) => level === 'warn' && String(message).startsWith('keys may arrive in clear text'))
    await app.listen({ host: '0.0.0.0', port: 0 })

    expect(told()).toEqual([expect.objectContaining({ addresses: ['0.0.0.0'], message: expect.stringContaining('api.require_https') })])
  })

  test('and nothing is said of loopback', async ({ url, lines }) => {
    expect(url).toContain('127.0.0.1')
    expect(lines.all.filter(({ level }) => level === 'warn')).toEqual([])
  })
})

describe('with api.require_https', () => {
  test.override({ settings: { MUXI_API_REQUIRE_HTTPS: 'true', MUXI_API_TRUST_PROXY: '10.0.0.1, 127.0.0.1' } })

  test('clear text from beyond loopback is refused before the key is looked at, and the key counts as exposed without being shown', async ({ app, lines, core }) => {
    const asked = core.calls.length
    const res = await app.inject({ url: '/api/v1/agents', headers: as('admin'), ...outside })
    const byHeader = await app.inject({ url: '/api/v1/agents', headers: { 'x-api-key': 'sk_secret' }, ...outside })
    const keyless = await app.inject({ url: '/openapi.json', ...outside })

    expect([res, byHeader, keyless].map((answer) => [answer.statusCode, codeOf(answer)])).toEqual(Array(3).fill([403, 'forbidden']))
    expect(res.json()).toMatchObject({ error: { message: expect.stringContaining('https') } })
    expect(core.calls).toHaveLength(asked)
    expect(lines.all).toContainEqual(exposed(res))
    expect(lines.all).toContainEqual(exposed(byHeader))
    expect(lines.all).not.toContainEqual(exposed(keyless))
    expect(JSON.stringify(lines.all)).not.toMatch(/sk_secret|sk_muxi/)
  })

  test('a key that was sent to what does not exist is exposed, too', async ({ app, lines }) => {
    const res = await app.inject({ url: '/nowhere', headers: as('user'), ...outside })

    expect(res.statusCode).toBe(404)
    expect(lines.all).toContainEqual(exposed(res))
  })

  test('probes are answered, /metrics is none', async ({ app }) => {
    const [health, ready, metrics] = await Promise.all(['/health', '/health/ready', '/metrics'].map(async (url) => await app.inject({ url, headers: as('admin'), ...outside })))

    expect([health!.statusCode, ready!.statusCode, metrics!.statusCode]).toEqual([200, 200, 403])
  })

  const ways: { from: string, proto?: string, client?: string, status: number, why: string }[] = [
    { from: '127.0.0.1', status: 200, why: 'it never left this machine' },
    { from: '::1', status: 200, why: 'it never left this machine' },
    { from: '::ffff:127.0.0.1', status: 200, why: 'that is loopback' },
    { from: '10.0.0.1', proto: 'https', client: '203.0.113.7', status: 200, why: 'a trusted proxy says so' },
    { from: '10.0.0.1', proto: 'HTTPS', client: '203.0.113.7', status: 200, why: 'the case of a scheme says nothing' },
    { from: '10.0.0.1', proto: 'http', client: '203.0.113.7', status: 403, why: 'the client spoke clear text to the proxy' },
    { from: '10.0.0.1', client: '203.0.113.7', status: 403, why: 'the proxy does not say' },
    { from: '10.0.0.1', client: '127.0.0.1', status: 403, why: 'the hop from the proxy is clear text' },
    { from: '127.0.0.1', proto: 'http', client: '203.0.113.7', status: 403, why: 'a proxy on this machine passes on what came in clear text' },
    { from: '127.0.0.1', proto: 'https', client: '203.0.113.7', status: 200, why: 'a proxy on this machine has TLS' },
    { from: '203.0.113.7', proto: 'https', status: 403, why: 'anybody can write that header' },
    { from: '203.0.113.7', client: '127.0.0.1', status: 403, why: 'anybody can write that header' }
  ]

  test.for(ways)('from $from, forwarded $client by $proto: $status, since $why', async ({ from, proto, client, status }, { app }) => {
    const res = await app.inject({
      url: '/api/v1/agents', remoteAddress: from, headers: { ...as('admin'), ...(proto !== undefined && { 'x-forwarded-proto': proto }), ...(client !== undefined && { 'x-forwarded-for': client }) }
    })

    expect(res.statusCode).toBe(status)
  })

  test('a tool call that came by https is served, although its inner call has no way of its own', async ({ app }) => {
    const res = await call(app, 'agent_list', { remoteAddress: '10.0.0.1', forwarded: { 'x-forwarded-proto': 'https', 'x-forwarded-for': '203.0.113.7' } })

    expect(res.json()).toMatchObject({ result: { structuredContent: { agents: expect.any(Array) } } })
  })

  test.skipIf(own === undefined)('over a real socket that is not on loopback, too; the start has nothing to warn of', async ({ app, lines }) => {
    const { port } = new URL(await app.listen({ host: '0.0.0.0', port: 0 }))
    const [far, near, probe] = await Promise.all([
      fetch(`http://${own}:${port}/api/v1/agents`, { headers: as('admin') }), fetch(`http://127.0.0.1:${port}/api/v1/agents`, { headers: as('admin') }), fetch(`http://${own}:${port}/health`)
    ])

    expect([far.status, near.status, probe.status]).toEqual([403, 200, 200])
    expect(lines.all.filter(({ message }) => String(message).startsWith('keys may arrive'))).toEqual([])
  })
})

describe('with api.require_https and TLS of our own', () => {
  test.override({ settings: { MUXI_API_REQUIRE_HTTPS: 'true', MUXI_API_TLS_CERT: 'test/fixtures/tls/cert.pem', MUXI_API_TLS_KEY: 'test/fixtures/tls/key.pem' } })

  test.skipIf(own === undefined)('what came by TLS is answered, over HTTP/2 as over HTTP/1.1', async ({ app }) => {
    const { port } = new URL(await app.listen({ host: '0.0.0.0', port: 0 }))

    expect([await statusOver('2', own!, port), await statusOver('1', own!, port)]).toEqual([200, 200])
  })
})

describe('with api.admin_from', () => {
  test.override({ settings: { MUXI_API_ADMIN_FROM: '192.0.2.0/24, 2001:db8::/32, 198.51.100.9', MUXI_API_TRUST_PROXY: '10.0.0.1' } })

  const places: [from: string, status: number][] = [
    ['192.0.2.200', 200], ['::ffff:192.0.2.200', 200], ['::ffff:c000:2c8', 200], ['2001:db8:1::5', 200], ['198.51.100.9', 200],
    ['192.0.3.1', 403], ['::ffff:192.0.3.1', 403], ['2001:db9::1', 403], ['198.51.100.8', 403], ['127.0.0.1', 403], ['fe80::1%eth0', 403]
  ]

  test.for(places)('an admin operation from %s is %i', async ([remoteAddress, status], { app }) => {
    expect((await app.inject({ url: '/api/v1/agents', headers: as('admin'), remoteAddress })).statusCode).toBe(status)
  })

  test('the refusal says why, also to who has no key', async ({ app }) => {
    const res = await app.inject({ url: '/api/v1/agents', ...outside })

    expect(res.json()).toMatchObject({ error: { code: 'forbidden', message: 'admin operations are not allowed from this address' } })
  })

  test('it is the operation that counts, not the key: chat and health are answered', async ({ app }) => {
    const chat = await app.inject({ method: 'POST', url: '/api/v1/chat', headers: as('admin'), payload: { content: 'hello' }, ...outside })
    const health = await app.inject({ url: '/health', ...outside })
    const missing = await app.inject({ url: '/nowhere', ...outside })

    expect([chat.statusCode, health.statusCode, missing.statusCode]).toEqual([200, 200, 404])
  })

  test('every admin operation holds to it', async ({ app }) => {
    const admin = app.operations.filter(({ access }) => access === 'admin')
    const answers = await Promise.all(admin.map(async ({ method, url }) => await app.inject({ method: method as 'GET', url: url.replace(/:[a-z_]+/g, 'x'), headers: as('admin'), ...outside })))

    expect(admin.length).toBeGreaterThan(20)
    expect(answers.filter(({ statusCode }) => statusCode !== 403)).toEqual([])
  })

  test('a trusted proxy tells the address, a stranger does not', async ({ app }) => {
    const by = async (remoteAddress: string, client: string) => (await app.inject({ url: '/api/v1/agents', remoteAddress, headers: { ...as('admin'), 'x-forwarded-for': client } })).statusCode

    expect(await by('10.0.0.1', '192.0.2.1')).toBe(200)
    expect(await by('10.0.0.1', '203.0.113.7')).toBe(403)
    expect(await by('10.0.0.1', 'unknown')).toBe(403)
    expect(await by('203.0.113.7', '192.0.2.1')).toBe(403)
    expect(await by('10.0.0.1', '192.0.2.1, 203.0.113.7')).toBe(403)
  })

  test.for(['2026-07-28', '2025-06-18'] as const)('a tool of revision %s is the operation, wherever it is called from', async (revision, { app }) => {
    const allowed = await call(app, 'agent_list', { remoteAddress: '192.0.2.1', revision })
    const refused = await call(app, 'agent_list', { ...outside, revision })
    const forwarded = await call(app, 'agent_list', { remoteAddress: '10.0.0.1', forwarded: { 'x-forwarded-for': '203.0.113.7' }, revision })
    const chat = await call(app, 'health_get', { ...outside, revision })

    expect(resultOf(allowed)).not.toHaveProperty('isError')
    for (const res of [refused, forwarded]) {
      expect(resultOf(res)).toMatchObject({ isError: true, content: [{ text: expect.stringContaining('admin operations are not allowed from this address') }] })
    }
    expect(resultOf(chat)).not.toHaveProperty('isError')
  })
})

interface Place { remoteAddress: string, forwarded?: Record<string, string>, revision?: '2026-07-28' | '2025-06-18' }

/** A tool call of an admin. */
async function call (app: FastifyInstance, name: string, { remoteAddress, forwarded = {}, revision = '2026-07-28' }: Place) {
  const latest = revision === '2026-07-28'
  const meta = { 'io.modelcontextprotocol/protocolVersion': revision, 'io.modelcontextprotocol/clientCapabilities': {} }
  return await app.inject({
    method: 'POST',
    url: '/mcp',
    remoteAddress,
    headers: {
      ...as('admin'), host: 'localhost', accept: 'application/json, text/event-stream', ...(latest && { 'mcp-protocol-version': revision, 'mcp-method': 'tools/call', 'mcp-name': name }), ...forwarded
    },
    payload: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {}, ...(latest && { _meta: meta }) } }
  })
}

function resultOf ({ body }: { body: string }): unknown {
  return (JSON.parse(body.replace(/^event: message\ndata: /, '')) as { result: unknown }).result
}

async function statusOver (version: '1' | '2', host: string, port: string): Promise<number> {
  const options = { rejectUnauthorized: false }
  return await new Promise((resolve, reject) => {
    if (version === '1') {
      request(`https://${host}:${port}/api/v1/agents`, { ...options, agent: false, headers: as('admin') }, (res) => { resolve(res.resume().statusCode!) }).on('error', reject).end()
      return
    }
    const session = connect(`https://${host}:${port}`, options).on('error', reject)
    session.request({ ':path': '/api/v1/agents', ...as('admin') }).on('response', (head) => {
      resolve(Number(head[':status']))
      session.destroy()
    }).end()
  })
}
