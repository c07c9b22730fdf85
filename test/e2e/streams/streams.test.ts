import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test as base } from 'vitest'
import { startEmbeddedCore, type EmbeddedCore } from '../../../core/embedded/index.ts'
import { as, keys } from '../../app.ts'
import { freePort, run, skipped, temporary } from '../processes.ts'
import { Server } from '../real-core.ts'
import { kinds, type Follower, type Kind, type Site } from './followers.ts'
import { proxies } from './proxies.ts'

/** What is followed: one line for each call of one operation. */
const query = { operation: 'agent_list' }
const spacingMs = 300

interface Fixtures {
  core: EmbeddedCore
  server: Server
  /** The server behind that proxy, which is started when it is first asked for. */
  behind: (proxy: string) => Promise<Site>
  /** Starts somebody who follows, and ends what is still there at the end. */
  follow: (kind: Kind, site: Site) => Promise<Follower>
}

/** One server for all, which ends no stream and knows its proxies. */
const test = base.extend<Fixtures>({
  core: [async ({}, use) => {
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
    await use(core)
    await core.close()
  }, { scope: 'file' }],
  server: [async ({ core }, use) => {
    await using server = await startServer(core)
    await use(server)
  }, { scope: 'file' }],
  behind: [async ({ server }, use) => {
    await using folder = await temporary()
    const [cert, key] = [`${folder.path}/cert.pem`, `${folder.path}/key.pem`]
    await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert])
    const running = new Map<string, { site: Site, stop: () => Promise<void> }>()
    await use(async (proxy) => {
      const port = await freePort()
      const place = { port, cert, key, folder: folder.path, upstream: new URL(server.url).host }
      if (!running.has(proxy)) running.set(proxy, { stop: await proxies[proxy]!.start(place), site: { url: `https://localhost:${port}`, ca: cert, key: keys.admin, query } })
      return running.get(proxy)!.site
    })
    for (const { stop } of running.values()) await stop()
  }, { scope: 'file' }],
  follow: async ({}, use) => {
    const all: Follower[] = []
    await use(async (kind, site) => {
      const follower = await kind.follow(site)
      all.push(follower)
      return follower
    })
    for (const follower of all) await follower.stop()
  }
})

async function startServer ({ url }: EmbeddedCore, env: Record<string, string> = {}): Promise<Server> {
  const server = await Server.start({
    env: { MUXI_CORE_URI: url, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_API_RATE_LIMIT: '0', MUXI_API_TRUST_PROXY: '127.0.0.1', MUXI_API_CORS_ORIGINS: 'http://127.0.0.1:*', ...env }
  })
  await expect.poll(async () => (await server.ready()).status).toBe(200)
  return server
}

/** One call that is logged; the id of its line. */
async function call ({ url }: Pick<Server, 'url'>): Promise<string> {
  const res = await fetch(`${url}/api/v1/agents`, { headers: as('admin') })
  await res.arrayBuffer()
  return res.headers.get('x-request-id')!
}

const shownBy = ({ events }: Follower) => events.map(({ data }) => data.requestId)

describe.for(Object.entries(proxies))('through %s', ([proxy, { missing }]) => {
  const noProxy = skipped(missing())

  describe.for(Object.entries(kinds))('%s', ([name, kind]) => {
    const shown = test.skipIf(noProxy || skipped(kind.missing()))

    // How soon a program is up is the machine's affair, so it has three tries.
    shown('has the first byte within a second', { retry: 2 }, async ({ behind, follow }) => {
      const { firstByteMs, protocol } = await follow(kind, await behind(proxy))

      process.stderr.write(`${name} through ${proxy}: ${protocol}, first byte after ${Math.round(firstByteMs)} ms\n`)
      expect(firstByteMs).toBeLessThan(1_000)
      // Python's own client has no HTTP/2.
      expect(protocol).toMatch(name === 'Python' ? /1\.1$/ : /2/)
    })

    shown('is shown each event before there is another', async ({ server, behind, follow }) => {
      const follower = await follow(kind, await behind(proxy))
      const sent: string[] = []
      const delays: number[] = []
      for (let i = 0; i < 5; i++) {
        const began = performance.now()
        sent.push(await call(server))
        await expect.poll(() => follower.events.length, { interval: 5 }).toBe(sent.length)
        delays.push(Math.round(performance.now() - began))
        await sleep(Math.max(0, spacingMs - (performance.now() - began)))
      }

      process.stderr.write(`${name} through ${proxy}: events after ${delays.join(', ')} ms\n`)
      expect(shownBy(follower)).toEqual(sent)
      expect(follower.reads).toEqual([1, 1, 1, 1, 1])
      expect(follower.complaints).toEqual([])
    })

    shown('goes on behind the event it saw last, with none lost and none twice', async ({ server, behind, follow }) => {
      const before = await follow(kind, await behind(proxy))
      await call(server)
      await expect.poll(() => before.events.length).toBe(1)
      await before.stop()
      const sent: string[] = []
      for (let i = 0; i < 50; i++) sent.push(await call(server))
      const after = await follow(kind, { ...await behind(proxy), after: before.events[0]!.id })
      await expect.poll(() => after.events.length).toBeGreaterThanOrEqual(sent.length)
      sent.push(await call(server))
      await expect.poll(() => after.events.length).toBeGreaterThanOrEqual(sent.length)

      expect(shownBy(after)).toEqual(sent)
      expect(new Set(after.events.map(({ id }) => id)).size).toBe(sent.length)
      expect(after.complaints).toEqual([])
    })
  })
})

const { curl, ...lasting } = kinds

describe.for(Object.entries(lasting))('%s', ([, kind]) => {
  test.skipIf(skipped(kind.missing()))('comes back by itself when the server ends the stream, with none lost and none twice', async ({ core, follow }) => {
    await using server = await startServer(core, { MUXI_API_STREAM_LIFE_MS: '1000' })
    const follower = await follow(kind, { url: server.url, key: keys.admin, query })
    const hasEnded = () => follower.complaints.includes('end {"reason":"lifetime"}')
    const sent: string[] = []
    while (!hasEnded()) {
      sent.push(await call(server))
      await sleep(50)
    }
    // While it waits.
    for (let i = 0; i < 10; i++) sent.push(await call(server))
    await expect.poll(() => follower.events.length).toBeGreaterThanOrEqual(sent.length)

    expect(shownBy(follower)).toEqual(sent)
    expect(follower.complaints.filter((text) => text.startsWith('gap'))).toEqual([])
  })
})
