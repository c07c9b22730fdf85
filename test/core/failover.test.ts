import { describe, expect, vi } from 'vitest'
import { Homecoming } from '../../core/homecoming.ts'
import type { CoreClient } from '../../core/client.ts'
import { CoreConnection } from '../../core/connection.ts'
import { startEmbeddedCore, type EmbeddedCore } from '../../core/embedded/index.ts'
import type { CoreTarget } from '../../core/target.ts'
import { configFor, keys } from '../app.ts'
import { admin, collected, failureOf, test as base, user } from './client.ts'

interface Fixtures {
  client: CoreClient
  /** the Core of the fallback, without the extensions; the primary one is `core` */
  other: EmbeddedCore
  fallback: Record<string, string>
  told: string[]
  connection: CoreConnection
}

const test = base.extend<Fixtures>({
  other: async ({}, use) => {
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin, offers: 'real' })
    await use(core)
    await core.close()
  },
  told: async ({}, use) => { await use([]) },
  fallback: async ({ other }, use) => { await use({ MUXI_CORE_FALLBACK_URIS: other.url }) },
  client: async ({ connect, fallback }, use) => { await use(connect(fallback)) },
  connection: async ({ client, core, fallback, told }, use) => {
    const connection = new CoreConnection(client, configFor(core, fallback).core, {
      onUp: () => { told.push('up') },
      onDown: ({ reason }) => { told.push(reason) },
      onSwitch: ({ from, to, reason }) => { told.push(`${from.name} to ${to.name}: ${reason}`) }
    })
    await use(connection)
    connection.close()
  }
})

const away = 'the MUXI Core cannot be reached (ECONNREFUSED)'

test('the first address that passes is used, at start as well', async ({ connection, client, core, other, told }) => {
  await core.down()

  expect(await connection.check()).toBe(true)
  expect(told).toEqual([`primary to fallback_1: ${away}`, 'up'])
  expect(connection.ways).toMatchObject({ host: new URL(other.url).host, in_use: 'fallback_1', failovers: 1 })
  expect(await client.get('/agents', { caller: admin })).toMatchObject({ count: 2 })
})

test('what a Core offers and how it judges keys is learnt anew on a switch', async ({ connection, core }) => {
  await connection.check()
  expect([connection.keysBy, connection.offers('users.list')]).toEqual(['introspection', true])
  await core.down()
  await connection.check()

  expect([connection.keysBy, connection.offers('users.list')]).toEqual(['probing', false])
  expect(await connection.accessOf(keys.user)).toEqual({ access: 'user' })
})

test('a call that is on its way when the Core goes is answered by the other', async ({ connection, client, core, other }) => {
  await connection.check()
  await core.down()
  const checked = connection.check()
  const answer = await client.get('/agents', { caller: admin }).catch(async () => {
    await checked
    return await client.get('/agents', { caller: admin })
  })

  expect(answer).toMatchObject({ count: 2 })
  expect(other.calls.some(({ path }) => path === '/v1/agents')).toBe(true)
})

test('a stream that runs is left alone on a switch', async ({ connection, client, core, told }) => {
  await connection.check()
  const stream = await client.stream('/chat', { message: '[fake: tokens=8 delay_ms=60]' }, { caller: user })
  const reading = collected(stream)
  core.fail({ path: '/v1/health', status: 500 })
  await connection.check()

  expect(told.at(-2)).toContain('primary to fallback_1')
  expect((await reading).items.at(-1)).toMatchObject({ type: 'completed', content: 'w1 w2 w3 w4 w5 w6 w7 w8' })
})

test('a Core whose health is well and whose calls fail is left for the other', async ({ connection, client, core, told }) => {
  await connection.check()
  core.fail({ path: '/v1/agents', status: 502 })
  for (let n = 0; n < 5; n++) await failureOf(client.get('/agents', { caller: admin }))
  await connection.check()

  expect(told).toContain('primary to fallback_1: the MUXI Core fails too often')
  expect(await client.get('/agents', { caller: admin })).toMatchObject({ count: 2 })
})

test('three passed checks in a row lead back to the first', async ({ connection, core, told }) => {
  await connection.check()
  await core.down()
  await connection.check()
  await core.up()
  await connection.check()
  await connection.check()
  expect(connection.target.name).toBe('fallback_1')
  core.fail({ path: '/v1/health', status: 500, times: 1 })
  for (let n = 0; n < 3; n++) await connection.check()
  expect(connection.target.name).toBe('fallback_1')
  await connection.check()

  expect(connection.target.name).toBe('primary')
  expect(told.slice(-2)).toEqual(['fallback_1 to primary: it passes its checks again', 'up'])
})

test('where none passes the reason tells of each', async ({ connection, core, other }) => {
  await core.down()
  other.keys.clear()

  expect(await connection.check()).toBe(false)
  expect(connection.reason).toBe(`primary: ${away}; fallback_1: the MUXI Core refuses MUXI_CORE_ADMIN_KEY`)
})

test('a fallback that refuses our keys, or is no Core, is not used', async ({ connection, core, other }) => {
  await connection.check()
  other.keys.clear()
  await core.down()

  expect(await connection.check()).toBe(false)
  expect(connection.target.name).toBe('primary')
})

describe('the breaker of an only Core', () => {
  test.override({ fallback: {} })

  test('closes with a passed check after the Core was out of reach, without waiting for its time', async ({ connection, core, client }) => {
    await connection.check()
    await core.down()
    await Promise.all(Array.from({ length: 6 }, async () => await failureOf(client.get('/agents', { caller: admin }))))
    expect(connection.target.breaker.state).toBe('open')
    await core.up()
    await connection.check()

    expect(await client.get('/agents', { caller: admin })).toMatchObject({ count: 2 })
  })

  test('stays open while health is well and calls fail, and the server is ready still', async ({ connection, core, client }) => {
    await connection.check()
    core.fail({ path: '/v1/agents', status: 502 })
    for (let n = 0; n < 5; n++) await failureOf(client.get('/agents', { caller: admin }))

    expect(await connection.check()).toBe(true)
    expect(connection).toMatchObject({ reason: undefined, target: { breaker: { state: 'open' } } })
  })

  test('closes when the Core was gone and has come back', async ({ connection, core, client }) => {
    await connection.check()
    core.fail({ status: 502 })
    for (let n = 0; n < 5; n++) await failureOf(client.get('/agents', { caller: admin }))
    await connection.check()
    core.heal()
    await connection.check()

    expect(connection.target.breaker.state).toBe('closed')
  })

  test('a check that is told to come later comes later', async ({ connection, core, told }) => {
    core.fail({ path: '/openapi.json', status: 429, headers: { 'retry-after': '20' } })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      await connection.check()
      const asked = core.calls.length
      await vi.advanceTimersByTimeAsync(15_000)

      expect(told).toEqual(['the MUXI Core is overloaded'])
      expect(core.calls).toHaveLength(asked)
    } finally {
      vi.useRealTimers()
    }
  })

  test('a Core that answers its check with 429 is up still', async ({ connection, core }) => {
    await connection.check()
    core.fail({ path: '/v1/health', status: 429 })

    expect(await connection.check()).toBe(true)
  })
})

test('who fails soon after a return waits twice as long for the next, and not for ever', () => {
  let now = 0
  const homecoming = new Homecoming(() => now)
  const target = {} as CoreTarget
  const checksNeeded = () => {
    for (let checks = 1; ; checks++) if (homecoming.isDue(target, true)) return checks
  }
  const needed = [0, 1, 2, 3, 4, 5, 6].map(() => {
    homecoming.moved(0, 1)
    const checks = checksNeeded()
    homecoming.moved(1, 0)
    now += 60_000
    return checks
  })
  now += 300_000
  homecoming.moved(0, 1)

  expect(needed).toEqual([3, 6, 12, 24, 48, 48, 48])
  expect(checksNeeded()).toBe(3)
})
