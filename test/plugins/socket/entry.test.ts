import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect } from 'vitest'
import { as, keys, sharedWith } from '../../app.ts'
import { addressOf, refused, SocketPeer } from './peer.ts'

const origin = 'https://app.example.com'
const test = sharedWith({ MUXI_API_CORS_ORIGINS: origin, MUXI_API_USER_TOKENS_SECRET: 'a-secret-for-user-tokens-of-32-characters' })
const handshake = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }

/** Sends a request as it is written here, and answers what comes back until the other side ends, or is silent. */
async function spoken (url: string, head: Record<string, string>, { method = 'GET', path = '/api/v1/ws', body = '' } = {}): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  const headers = Object.entries({ host: `${hostname}:${port}`, ...head }).map(([name, value]) => `${name}: ${value}\r\n`).join('')
  socket.write(`${method} ${path} HTTP/1.1\r\n${headers}\r\n${body}`)
  let text = ''
  socket.on('data', (chunk) => { text += String(chunk) })
  await expect.poll(() => text).toMatch(/\r\n\r\n/)
  // All of it is there, or the connection is closed behind it.
  await Promise.race([once(socket, 'close'), new Promise((resolve) => { setTimeout(resolve, 100) })])
  const ended = socket.closed
  socket.destroy()
  return ended ? `${text}(closed)` : text
}

describe('who may open a socket', () => {
  test.for(['Authorization', 'X-API-Key'])('a key in %s', async (name, { url }) => {
    const peer = await SocketPeer.open(url, { headers: { [name]: name === 'Authorization' ? `Bearer ${keys.user}` : keys.user } })
    peer.send('ping', 'p')

    expect(await peer.next('pong', 'p')).toEqual({ type: 'pong', id: 'p' })
    expect(peer.socket.protocol).toBe('')
    peer.close()
  })

  test('a key as a subprotocol, which neither the answer nor the log repeats', async ({ url, lines }) => {
    const peer = await SocketPeer.open(url, {}, ['muxi.v1', `bearer.${keys.user}`, 'graphql-ws'])
    peer.send('ping')
    await peer.next('pong')
    peer.close()
    await expect.poll(() => lines.all.some(({ operationId }) => operationId === 'ws_connect')).toBe(true)

    expect(peer.socket.protocol).toBe('muxi.v1')
    expect(JSON.stringify(lines.all)).not.toContain(keys.user)
  })

  test('a ticket in the query, once', async ({ url, app, lines }) => {
    const { ticket } = (await app.inject({ method: 'POST', url: '/api/v1/stream-tickets', headers: as('user') })).json<{ ticket: string }>()
    const peer = await SocketPeer.open(`${url}/api/v1/ws?ticket=${ticket}`, {})
    const again = await refused(`${url}/api/v1/ws?ticket=${ticket}`)
    peer.close()

    expect(again).toMatchObject({ status: 401, code: 'unauthorized' })
    expect(JSON.stringify(lines.all)).not.toContain(ticket)
  })

  test('a key in the query is taken by nobody, and the answer says how else', async ({ url }) => {
    const answers = await Promise.all(['api_key', 'token', 'access_token'].map(async (name) => await refused(`${url}/api/v1/ws?${name}=${keys.user}`, { headers: as('user') })))

    expect(answers.map(({ status, code }) => [status, code])).toEqual(Array(3).fill([401, 'unauthorized']))
    expect(answers[0]!.message).toContain('bearer.<key>')
    expect(answers[0]!.message).not.toContain(keys.user)
  })

  test('nobody else, and their connection is closed', async ({ url, app }) => {
    await app.inject({ url: '/api/v1/system/status', headers: as('user') })
    const none = await refused(url)
    const wrong = await refused(url, {}, ['muxi.v1', 'bearer.sk_wrong'])
    const text = await spoken(url, handshake)

    expect([none, wrong].map(({ status, code }) => [status, code])).toEqual(Array(2).fill([401, 'unauthorized']))
    expect(none.headers).toMatchObject({ 'content-type': 'application/json; charset=utf-8', 'x-request-id': expect.any(String), 'www-authenticate': expect.any(String), connection: 'close' })
    expect(text).toMatch(/^HTTP\/1\.1 401 [^]*\(closed\)$/)
  })

  test('who is over the limit is refused by 429', async ({ url, app, core }) => {
    const { config } = app
    app.config = { ...config, api: { ...config.api, rate_limit: 1 } }
    core.keys.set('sk-once', { scope: 'user' })
    const first = await SocketPeer.open(url, { headers: { 'x-api-key': 'sk-once' } })
    const second = await refused(url, { headers: { 'x-api-key': 'sk-once' } })
    app.config = config
    first.close()

    expect(second).toMatchObject({ status: 429, code: 'rate_limited', headers: { 'retry-after': expect.any(String) } })
  })

  test('a token for the socket alone opens it, and nothing that is done over it', async ({ url, app }) => {
    const { token } = (await app.inject({ method: 'POST', url: '/api/v1/user-tokens', headers: as('user'), payload: { user_id: 'alice', scope: ['ws_connect'] } })).json<{ token: string }>()
    const other = (await app.inject({ method: 'POST', url: '/api/v1/user-tokens', headers: as('user'), payload: { user_id: 'alice', scope: ['chat_send'] } })).json<{ token: string }>().token
    const peer = await SocketPeer.open(url, {}, ['muxi.v1', `bearer.${token}`])
    peer.send('chat', 'a', { content: 'Hello' })
    const failure = await peer.next('error', 'a')
    const closed = await refused(url, {}, ['muxi.v1', `bearer.${other}`])
    peer.close()

    expect(failure.data).toMatchObject({ code: 'forbidden', message: 'this token does not open this operation' })
    expect(closed).toMatchObject({ status: 403, code: 'forbidden' })
  })

  test('a key that is bound to a user chats for no other', async ({ url, core }) => {
    core.keys.set('bound', { scope: 'user', sub: 'alice' })
    const peer = await SocketPeer.open(url, { headers: { 'x-api-key': 'bound' } })
    peer.send('chat', 'a', { content: 'Hello', user_id: 'bob' })
    const failure = await peer.next('error', 'a')
    peer.close()

    expect(failure.data).toMatchObject({ code: 'forbidden', message: 'this key belongs to another user' })
  })
})

describe('pages of other origins', () => {
  const local = (url: string) => new URL(url).origin
  const cases = {
    none: [undefined, 101],
    own: ['own', 101],
    'another port of this machine': ['http://localhost:5173', 101],
    listed: [origin, 101],
    foreign: ['https://evil.example', 403],
    null: ['null', 403],
    'no address': ['nonsense', 403],
    'a name that begins like one listed': [`${origin}.evil.example`, 403]
  } as const

  test.for(Object.entries(cases))('Origin %s', async ([, [given, status]], { url }) => {
    const text = await spoken(url, { ...handshake, ...as('user'), ...(given !== undefined && { origin: given === 'own' ? local(url) : given }) })

    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    if (status === 403) expect(text).toMatch(/"code":"forbidden"[^]*\(closed\)$/)
  })

  test('behind a public name its own pages alone may', async ({ url, app }) => {
    const { config } = app
    app.config = { ...config, api: { ...config.api, host: '0.0.0.0', public_url: 'https://api.example.com' } }
    const statuses = []
    for (const one of ['https://api.example.com', 'http://localhost:8000', local(url)]) statuses.push((await spoken(url, { ...handshake, ...as('user'), origin: one })).slice(9, 12))
    app.config = config

    expect(statuses).toEqual(['101', '403', '403'])
  })
})

describe('the handshake', () => {
  test.for([
    ['no key', { 'sec-websocket-key': '' }, 400],
    ['a key of other bytes', { 'sec-websocket-key': 'short==' }, 400],
    ['an old version', { 'sec-websocket-version': '8' }, 426],
    ['no version', { 'sec-websocket-version': '' }, 426],
    ['version 99', { 'sec-websocket-version': '99' }, 426]
  ] as const)('%s is refused', async ([, head, status], { url }) => {
    const text = await spoken(url, { ...handshake, ...as('user'), ...head })

    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]*\\(closed\\)$`))
    if (status === 426) expect(text).toMatch(/^sec-websocket-version: 13\r$/mi)
  })

  test('compression is not agreed on, whatever is offered', async ({ url }) => {
    const text = await spoken(url, { ...handshake, ...as('user'), 'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits; server_no_context_takeover' })

    expect(text).toMatch(/^HTTP\/1\.1 101 /)
    expect(text.toLowerCase()).not.toContain('extensions')
  })

  test.for(['muxi.v1,,', 'a,a', 'muxi.v1; q=1', '"'])('subprotocols that are none (%s) are ignored', async (offered, { url }) => {
    const text = await spoken(url, { ...handshake, ...as('user'), 'sec-websocket-protocol': offered })

    expect(text).toMatch(/^HTTP\/1\.1 101 /)
    expect(text).toMatch(/x-request-id: req_/i)
  })

  test('a plain GET is told to upgrade', async ({ app, url }) => {
    const answer = await app.inject({ url: '/api/v1/ws', headers: as('user') })
    const anonymous = await app.inject({ url: '/api/v1/ws' })
    const other = await spoken(url, { ...as('user'), connection: 'Upgrade', upgrade: 'h2c' })

    expect(answer.json()).toMatchObject({ error: { code: 'upgrade_required' } })
    expect(answer).toMatchObject({ statusCode: 426, headers: { upgrade: 'websocket', connection: 'upgrade' } })
    expect(anonymous.statusCode).toBe(401)
    expect(other).toMatch(/^HTTP\/1\.1 426 /)
  })

  test('other requests are answered as if they had asked for no upgrade, with their bodies', async ({ url }) => {
    const body = JSON.stringify({ content: 'Hello' })
    const h2c = { ...as('user'), connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAARAAAAAAAIAAAAA' }
    const posted = await spoken(url, { ...h2c, 'content-type': 'application/json', 'content-length': String(body.length) }, { method: 'POST', path: '/api/v1/chat', body })
    const elsewhere = await spoken(url, { ...handshake, ...as('admin') }, { path: '/api/v1/agents' })
    const nowhere = await spoken(url, { ...handshake, ...as('user') }, { path: '/api/v1/ws/more' })

    expect(posted).toMatch(/^HTTP\/1\.1 200 [^]*"agent_response"/)
    expect(elsewhere).toMatch(/^HTTP\/1\.1 200 [^]*"pagination"/)
    expect(nowhere).toMatch(/^HTTP\/1\.1 404 /)
  })

  test('frames that come with the handshake are read', async ({ url }) => {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    const head = Object.entries({ host: hostname, ...handshake, ...as('user') }).map(([name, value]) => `${name}: ${value}\r\n`).join('')
    const text = Buffer.from('{"type":"ping","id":"early"}')
    socket.write(Buffer.concat([Buffer.from(`GET /api/v1/ws HTTP/1.1\r\n${head}\r\n`), Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text]))
    let answer = ''
    socket.on('data', (chunk) => { answer += String(chunk) })
    await expect.poll(() => answer).toContain('{"type":"pong","id":"early"}')
    socket.destroy()

    expect(addressOf(url)).toMatch(/^ws:/)
  })
})
