import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { describe, expect } from 'vitest'
import { buildApp } from '../../app.ts'
import type { ConnectionList } from '../../schemas/connections.ts'
import { as, configFor, Lines, test as base } from '../app.ts'
import { OwnRedis, redisMissing } from './own-redis.ts'
import { skipped } from './processes.ts'

const at = '/api/v1/system/connections'
const list = async (app: FastifyInstance, query = '') => (await app.inject({ url: `${at}${query}`, headers: as('admin') })).json<ConnectionList>()
const close = async (app: FastifyInstance, id: string) => await app.inject({ method: 'DELETE', url: `${at}/${id}`, headers: as('admin') })

interface Instance { app: FastifyInstance, url: string, chat: () => Promise<Response> }

/** Two instances on one Redis, whose Core leaves every chat silent after its start. */
const test = base.extend<{ redis: OwnRedis, two: { a: Instance, b: Instance } }>({
  redis: async ({}, use) => {
    const redis = await OwnRedis.start()
    await use(redis)
    await redis.kill()
  },
  two: async ({ core, redis }, use) => {
    core.fail({ path: '/v1/chat', silent: true })
    const leaving = new AbortController()
    const begin = async (): Promise<Instance> => {
      const app = await buildApp(configFor(core, { MUXI_API_REDIS_URL: `redis://127.0.0.1:${redis.port}`, MUXI_API_SECRET: 'a-secret-of-at-least-thirty-two-characters' }), new Lines())
      const url = await app.listen({ host: '127.0.0.1', port: 0 })
      await app.core.check()
      const chat = async () => await fetch(`${url}/api/v1/chat/stream`, {
        method: 'POST', headers: { ...as('user'), 'content-type': 'application/json' }, body: JSON.stringify({ content: 'Hi' }), signal: leaving.signal
      })
      return { app, url, chat }
    }
    const [a, b] = await Promise.all([begin(), begin()])
    await expect.poll(async () => (await a.app.cluster.members()).length).toBe(2)
    await use({ a, b })
    leaving.abort()
    await Promise.all([a.app.close(), b.app.close()])
  }
})

describe.skipIf(skipped(redisMissing()))('open streams at two instances on one Redis', () => {
  test('each lists those of both, in the same order, page by page', async ({ two: { a, b } }) => {
    await a.chat()
    await b.chat()
    await a.chat()
    const [atA, atB] = [await list(a.app), await list(b.app)]
    const first = await list(b.app, '?limit=2')
    const second = await list(a.app, `?limit=2&after=${first.next_after}`)
    const ids = ({ connections }: ConnectionList) => connections.map(({ id }) => id)

    expect(atA.connections.map(({ instance }) => instance)).toEqual([a, b, a].map(({ app }) => app.cluster.id))
    expect([ids(atB), ids(atA).toSorted()]).toEqual([ids(atA), ids(atA)])
    expect([...ids(first), ...ids(second)]).toEqual(ids(atA))
    expect([atA.total, atB.silent, first.total, second.next_after]).toEqual([3, [], 3, null])
  })

  test('one that is closed at the other instance ends there, and its client is told', async ({ two: { a, b } }) => {
    const [kept, closed] = [await b.chat(), await b.chat()]
    const [first, second] = (await list(a.app)).connections
    const began = performance.now()
    const res = await close(a.app, second!.id)
    const ms = performance.now() - began
    const text = await closed.text()

    expect([kept.status, res.statusCode, res.json()]).toEqual([200, 200, { status: 'closed' }])
    expect(text).toContain('event: error\ndata: {"error":{"code":"forbidden"')
    expect(ms).toBeLessThan(500)
    expect((await list(a.app)).connections.map(({ id }) => id)).toEqual([first!.id])
  })

  test('one that nobody has is not found, as soon as all have said so', async ({ two: { a } }) => {
    const began = performance.now()
    const res = await close(a.app, 'con_nowhere')

    expect([res.statusCode, res.json()]).toMatchObject([404, { error: { code: 'not_found', message: 'no open stream con_nowhere' } }])
    expect(performance.now() - began).toBeLessThan(500)
  })

  test('an instance that was closed is not waited for', async ({ two: { a, b } }) => {
    await a.chat()
    await b.app.close()
    const began = performance.now()
    const { total, silent } = await list(a.app)

    expect([total, silent]).toEqual([1, []])
    expect(performance.now() - began).toBeLessThan(500)
  })

  test('while Redis is away a list is state_unavailable, and own streams can be closed; afterwards both are listed again', async ({ redis, two: { a, b } }) => {
    await b.chat()
    const stream = await a.chat()
    const [own] = a.app.connections.list()
    await redis.kill()
    await sleep(100)
    const [away, closed] = [await a.app.inject({ url: at, headers: as('admin') }), await close(a.app, own!.id)]
    const text = await stream.text()
    await redis.start()

    expect([away.statusCode, away.json(), closed.statusCode]).toMatchObject([503, { error: { code: 'state_unavailable' } }, 200])
    expect(text).toContain('"code":"forbidden"')
    await expect.poll(async () => {
      const { connections = [], silent } = await list(a.app)
      return [connections.map(({ instance }) => instance), silent]
    }).toEqual([[b.app.cluster.id], []])
  })
})
