import { describe, expect, vi } from 'vitest'
import { missingAtReal } from '../fixtures/real-core.ts'
import type { CoreClient } from '../../core/client.ts'
import { CoreConnection, type Listener } from '../../core/connection.ts'
import { capabilities, routesIn } from '../../core/capabilities.ts'
import { configFor, keys } from '../app.ts'
import { failureOf, test as base } from './client.ts'

interface Told { up: Parameters<Listener['onUp']>[0][], down: Parameters<Listener['onDown']>[0][], switched: string[] }
interface Fixtures {
  told: Told
  /** what is known of the embedded Core, by a client with these settings */
  join: (settings?: Record<string, string>, url?: string) => CoreConnection
  connection: CoreConnection
}

const test = base.extend<Fixtures>({
  told: async ({}, use) => { await use({ up: [], down: [], switched: [] }) },
  join: async ({ connect, core, told }, use) => {
    const all: CoreConnection[] = []
    await use((settings, url = core.url) => {
      const client: CoreClient = connect(settings, url)
      const connection = new CoreConnection(client, configFor({ url }, settings).core, {
        onUp: (facts) => { told.up.push(facts) },
        onDown: (facts) => { told.down.push(facts) },
        onSwitch: ({ from, to }) => { told.switched.push(`${from.name} to ${to.name}`) }
      })
      all.push(connection)
      return connection
    })
    for (const connection of all) connection.close()
  },
  connection: async ({ join }, use) => { await use(join()) }
})

test('before the first check nothing is known', ({ connection }) => {
  expect(connection).toMatchObject({ state: 'starting', reason: 'the MUXI Core has not been checked yet', version: undefined, keysBy: 'probing', missing: [] })
})

describe('the check', () => {
  test('learns version and capabilities', async ({ connection, told }) => {
    expect(await connection.check()).toBe(true)
    expect(connection).toMatchObject({ state: 'up', reason: undefined, version: expect.stringMatching(/^\d/), keysBy: 'introspection', missing: [] })
    expect(told.up).toEqual([{ coreVersion: connection.version, keys: 'introspection', missing: [] }])
  })

  test('fails after 5 s at a Core that takes connections and never answers', async ({ connection, core }) => {
    core.fail({ path: '/v1/health', delayMs: 60_000 })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const checked = connection.check()
      await vi.advanceTimersByTimeAsync(5_000)

      expect(await checked).toBe(false)
      expect(connection.reason).toBe('the MUXI Core did not answer within 5000 ms')
    } finally {
      vi.useRealTimers()
    }
  })

  test('runs once at a time', async ({ connection, core }) => {
    await Promise.all(Array.from({ length: 20 }, async () => await connection.check()))

    expect(core.calls.filter(({ path }) => path === '/v1/health')).toHaveLength(1)
  })

  test('probes keys where our admin key is not set', async ({ join }) => {
    const connection = join({ MUXI_CORE_ADMIN_KEY: '' })
    await connection.check()

    expect(connection.keysBy).toBe('probing')
    expect(await connection.accessOf(keys.admin)).toEqual({ access: 'admin' })
  })

  test.for([
    ['MUXI_CORE_ADMIN_KEY', 'sk_muxi_admin_wrong0000000000000'],
    ['MUXI_CORE_CLIENT_KEY', 'sk_muxi_user_wrong00000000000000'],
    ['MUXI_CORE_ADMIN_KEY', keys.user],
    ['MUXI_CORE_CLIENT_KEY', keys.admin]
  ])('names %s when the Core refuses %s', async ([name, key], { join, told }) => {
    const connection = join({ [name!]: key! })

    expect(await connection.check()).toBe(false)
    expect(connection).toMatchObject({ state: 'down', reason: `the MUXI Core refuses ${name}` })
    expect(told).toMatchObject({ up: [], down: [{ attempt: 1, nextCheckMs: 250 }] })
    expect(JSON.stringify(told)).not.toContain('sk_muxi')
  })

  test('passes once the key is right', async ({ join, core, told }) => {
    const key = 'sk_muxi_admin_made_later00000000'
    const connection = join({ MUXI_CORE_ADMIN_KEY: key })
    await connection.check()
    core.keys.set(key, { scope: 'admin' })

    await expect.poll(() => connection.state).toBe('up')
    expect(told.up).toHaveLength(1)
  })

  test.for([
    ['a web service', 'what answers there is no MUXI Core', '{"status":"ok"}', '{}'],
    ['another service', 'what answers there is no MUXI Core', '{"status":"ok"}', '{"info":{"version":"1"},"paths":{"/v1/models":{"get":{}}}}'],
    ['no version', 'what answers there is no MUXI Core', '{}', '{"paths":{"/v1/chat":{"post":{}}}}'],
    ['null', 'what answers there is no MUXI Core', '{}', 'null'],
    ['paths of another form', 'what answers there is no MUXI Core', '{}', '{"info":{"version":"1"},"paths":{"/v1/chat":null,"/x":5}}'],
    ['no JSON', 'the MUXI Core gave an answer that cannot be used', '{}', '<html>']
  ])('does not pass for %s', async ([, reason, health, document], { serve, join }) => {
    const connection = join({}, await serve(({ url }, res) => { res.end(url === '/v1/health' ? health : document) }))

    expect(await connection.check()).toBe(false)
    expect(connection.reason).toBe(reason)
  })

  test('does not pass for a Core that is not well', async ({ core, connection }) => {
    core.fail({ path: '/v1/health', status: 503, times: 1 })

    expect(await connection.check()).toBe(false)
    expect(connection.reason).toBe('the MUXI Core\'s /v1/health answers 503')
  })
})

describe('in front of the real Core', () => {
  test.override({ options: { offers: 'real' } })

  test('it knows what is missing, and probes keys', async ({ connection }) => {
    await connection.check()

    expect(connection.keysBy).toBe('probing')
    expect(connection.missing).toEqual(missingAtReal)
    expect(['chat', 'agents.list', 'agents.read'].every((capability) => connection.offers(capability as keyof typeof capabilities))).toBe(true)
    expect(await connection.accessOf(keys.user)).toEqual({ access: 'user' })
    expect(await connection.accessOf(keys.admin)).toEqual({ access: 'admin' })
    expect(await connection.accessOf('wrong')).toBeUndefined()
  })
})

describe('a Core that goes away', () => {
  test('is asked for again with growing steps, and ready within 2 s of its return', async ({ connection, core, told }) => {
    await connection.check()
    await core.down()
    expect(await connection.check()).toBe(false)
    expect(connection.reason).toBe('the MUXI Core cannot be reached (ECONNREFUSED)')
    await expect.poll(() => told.down.length, { interval: 20 }).toBe(4)
    const back = performance.now()
    await core.up()
    await expect.poll(() => connection.state, { interval: 20 }).toBe('up')

    expect(performance.now() - back).toBeLessThan(2_000)
    expect(told.down.map(({ nextCheckMs, attempt }) => [nextCheckMs, attempt])).toEqual([[250, 1], [500, 2], [1_000, 3], [1_500, 4]])
    expect(told.up).toHaveLength(2)
    expect(connection.reason).toBeUndefined()
  })

  test('keeps the steps from growing further, and begins again after a return', async ({ connection, core, told }) => {
    await core.down()
    for (let attempt = 0; attempt < 6; attempt++) await connection.check()
    await core.up()
    await connection.check()
    await core.down()
    await connection.check()

    expect(told.down.map(({ nextCheckMs }) => nextCheckMs)).toEqual([250, 500, 1_000, 1_500, 1_500, 1_500, 250])
  })

  test('may come back with more or less than before', async ({ connection, core, serve, join }) => {
    let paths: object = { '/v1/chat': { post: {} } }
    let healthy = true
    const other = join({ MUXI_CORE_ADMIN_KEY: '', MUXI_CORE_CLIENT_KEY: '' }, await serve(({ url }, res) => {
      res.writeHead(healthy ? 200 : 503).end(url === '/v1/health' ? '{}' : JSON.stringify({ info: { version: '2' }, paths }))
    }))
    await other.check()
    expect(other.offers('agents.list')).toBe(false)
    paths = { '/v1/chat/': { post: {} }, '/v1/agents': { get: {} } }
    healthy = false
    await other.check()
    healthy = true
    await other.check()

    expect(other.offers('agents.list')).toBe(true)
  })

  test('is not asked about keys by every request, when it is known to be away', async ({ connection, core, told }) => {
    await core.down()
    const failures = await Promise.all(Array.from({ length: 50 }, async () => await failureOf(connection.accessOf('some-key'))))
    failures.push(await failureOf(connection.accessOf('some-key')))

    expect(new Set(failures.map(({ code, retryAfter }) => `${code} ${retryAfter}`))).toEqual(new Set(['core_unavailable 1']))
    expect(told.down).toHaveLength(1)
  })

  test('is checked on its own every 10 s while all is well', async ({ connection, core, told }) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    await connection.check()
    core.fail({ path: '/v1/health', status: 500 })
    vi.advanceTimersByTime(9_900)
    expect(connection.state).toBe('up')
    vi.advanceTimersByTime(100)
    vi.useRealTimers()

    await expect.poll(() => connection.state).toBe('down')
    expect(told.down).toMatchObject([{ attempt: 1 }])
  })

  test('is left alone after the close', async ({ connection, core, told }) => {
    await core.down()
    const checking = connection.check()
    connection.close()
    await checking
    const checked = core.calls.length
    await core.up()
    await new Promise((resolve) => setTimeout(resolve, 400))

    expect(core.calls).toHaveLength(checked)
    expect(told.down).toEqual([])
  })
})

test('routes are compared without the names of parameters and the slash at their end', () => {
  const paths = { '/v1/agents/{agent_id}': { get: {}, patch: {} }, '/v1/chat/': { post: {} }, '/': { get: {} } }

  expect([...routesIn({ paths })]).toEqual(['GET /v1/agents/{}', 'PATCH /v1/agents/{}', 'POST /v1/chat', 'GET /'])
  expect([...routesIn({})]).toEqual([])
})
