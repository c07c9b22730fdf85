import { readFile } from 'node:fs/promises'
import { connect } from 'node:http2'
import { once } from 'node:events'
import { describe, expect, test as base } from 'vitest'
import { startEmbeddedCore, type EmbeddedCore } from '../../core/embedded/index.ts'
import { as, keys } from '../app.ts'
import { refused, SocketPeer } from '../plugins/socket/peer.ts'
import { freePort, run, skipped, temporary } from './processes.ts'
import { Server } from './real-core.ts'
import { proxies } from './streams/proxies.ts'

interface Joined { session_id: string, participant_id: string, participant_token: string }
interface Site { url: string, ca: string }
interface Fixtures { core: EmbeddedCore, server: Server, behind: (proxy: string) => Promise<Site> }

const pingMs = 1_000

const test = base.extend<Fixtures>({
  core: [async ({}, use) => {
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
    await use(core)
    await core.close()
  }, { scope: 'file' }],
  server: [async ({ core }, use) => {
    await using server = await Server.start({
      env: { MUXI_CORE_URI: core.url, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_API_RATE_LIMIT: '0', MUXI_API_TRUST_PROXY: '127.0.0.1', MUXI_API_SOCKET_PING_MS: String(pingMs), MUXI_API_DRAIN_TIMEOUT_MS: '5000' }
    })
    await expect.poll(async () => (await server.ready()).status).toBe(200)
    await use(server)
  }, { scope: 'file' }],
  /** The server behind that proxy, which is started when it is first asked for. */
  behind: [async ({ server }, use) => {
    await using folder = await temporary()
    const [cert, key] = [`${folder.path}/cert.pem`, `${folder.path}/key.pem`]
    await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert])
    const ca = await readFile(cert, 'utf8')
    const running = new Map<string, { site: Site, stop: () => Promise<void> }>()
    await use(async (proxy) => {
      if (!running.has(proxy)) {
        const port = await freePort()
        running.set(proxy, { stop: await proxies[proxy]!.start({ port, cert, key, folder: folder.path, upstream: new URL(server.url).host }), site: { url: `https://localhost:${port}`, ca } })
      }
      return running.get(proxy)!.site
    })
    for (const { stop } of running.values()) await stop()
  }, { scope: 'file' }]
})

describe.for(Object.entries(proxies))('through %s, which speaks HTTP/2 to clients', ([proxy, { missing }]) => {
  const shown = test.skipIf(skipped(missing()))

  shown('a socket chats and signals, and stays open while it is silent', async ({ behind }) => {
    const { url, ca } = await behind(proxy)
    const session = connect(url, { ca })
    const post = async (path: string, body: object) => {
      const stream = session.request({ ':method': 'POST', ':path': path, ...as('user'), 'content-type': 'application/json' })
      stream.end(JSON.stringify(body))
      let text = ''
      for await (const chunk of stream) text += String(chunk)
      return JSON.parse(text) as Joined
    }
    await once(session, 'connect')
    const ada = await post('/api/v1/rtc/sessions', { user_id: 'ada' })
    const ben = await post(`/api/v1/rtc/sessions/${ada.session_id}/participants`, { user_id: 'ben' })
    const protocol = session.alpnProtocol
    session.close()
    const [one, other] = [await SocketPeer.open(url, { ca }, ['muxi.v1', `bearer.${keys.user}`]), await SocketPeer.open(url, { ca, headers: as('user') })]
    for (const [peer, { session_id, participant_id, participant_token }] of [[one, ada], [other, ben]] as const) {
      peer.send('rtc_subscribe', 'sub', { session_id, participant_id, participant_token })
      await peer.next('rtc_state', 'sub')
    }
    await expect.poll(() => one.pings, { timeout: 4 * pingMs }).toBeGreaterThan(1)
    one.send('chat', 'c', { content: 'What is 6 times 7?' })
    one.send('rtc_signal', 'o', { type: 'offer', session_id: ada.session_id, participant_id: ada.participant_id, to: ben.participant_id, description: { type: 'offer', sdp: 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n' } })
    await one.next('chat_end', 'c')
    const { data: offer } = await other.next('rtc_signal', 'sub')
    for (const peer of [one, other]) peer.close()

    expect([protocol, one.socket.protocol]).toEqual(['h2', 'muxi.v1'])
    expect(one.of('chat_content').map(({ data }) => data.content).join('')).toBe('6 * 7 = 42.')
    expect(offer).toMatchObject({ type: 'offer', from: ada.participant_id })
  })

  shown('who is refused is told why', async ({ behind }) => {
    const { url, ca } = await behind(proxy)

    expect(await refused(url, { ca })).toMatchObject({ status: 401, code: 'unauthorized' })
    expect(await refused(url, { ca, headers: { ...as('user'), origin: 'https://evil.example' } })).toMatchObject({ status: 403, code: 'forbidden' })
  })

  shown('the page of the same place may open one', async ({ behind }) => {
    const { url, ca } = await behind(proxy)
    const peer = await SocketPeer.open(url, { ca, headers: { ...as('user'), origin: url } })
    peer.send('ping', 'p')

    expect(await peer.next('pong', 'p')).toEqual({ type: 'pong', id: 'p' })
    peer.close()
  })
})

test('a server that is stopped tells its sockets, lets their chats end, and ends by itself', async ({ core }) => {
  const server = await Server.start({ env: { MUXI_CORE_URI: core.url, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_API_RATE_LIMIT: '0', MUXI_API_DRAIN_TIMEOUT_MS: '10000' } })
  await expect.poll(async () => (await server.ready()).status).toBe(200)
  const [idle, busy] = [await SocketPeer.open(server.url), await SocketPeer.open(server.url)]
  busy.send('chat', 'c', { content: 'Count [fake: tokens=60 delay_ms=20]' })
  await busy.next('chat_start', 'c')
  const started = performance.now()
  const stopped = server.stop()
  const codes = [await idle.end(), await busy.end(10_000)]
  await stopped

  expect(codes).toEqual([1012, 1012])
  expect(busy.frames.at(-1)!.type).toBe('chat_end')
  expect(idle.of('going_away')[0]!.data).toMatchObject({ reason: 'shutdown' })
  expect(performance.now() - started).toBeLessThan(10_000)
})
