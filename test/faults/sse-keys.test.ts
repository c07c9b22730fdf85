import { expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import type { EmbeddedCore } from '../../core/embedded/index.ts'
import { as, test as base } from '../app.ts'
import { Tail } from '../plugins/events/tail.ts'

/** What the Core alone knows is known here as soon as its last word is no longer fresh. */
// Not an override: files share the module of the fixtures.
const test = base.extend({ settings: { MUXI_API_RATE_LIMIT: '0', MUXI_API_KEY_CACHE_MS: '500', MUXI_API_KEY_CACHE_SOFT_MS: '0' } })

interface Server { app: FastifyInstance, core: EmbeddedCore }

const key = 'an-admin-key-of-this-test'
const bearer = { authorization: `Bearer ${key}` }
const streams = ['logs', 'traces'] as const
const fates = {
  'is taken back': { make: async ({ app }: Server) => await app.inject({ method: 'POST', url: '/api/v1/auth/revocations', headers: as('admin'), payload: { key } }), reason: 'unauthorized', then: 401 },
  'is unknown to the Core by now': { make: ({ core }: Server) => core.keys.delete(key), reason: 'unauthorized', then: 401 },
  'has lost its level': { make: ({ core }: Server) => core.keys.set(key, { scope: 'user' }), reason: 'forbidden', then: 403 },
  'cannot be checked any more': { make: async ({ core }: Server) => { await core.down() }, reason: 'core_unavailable', then: 503 }
} as const
const cases = streams.flatMap((topic) => (Object.keys(fates) as (keyof typeof fates)[]).map((fate) => [topic, fate] as const))

test.for(cases)('a stream of %s whose key %s ends within 5 s, says why, asks for a pause, and is not opened again', async ([topic, fate], { app, core, url }) => {
  core.keys.set(key, { scope: 'admin' })
  const tail = await Tail.open(`${url}/api/v1/${topic}/stream?service=test`, bearer)
  const began = performance.now()
  await fates[fate].make({ app, core })
  await tail.until(({ ended }) => ended)
  const ms = performance.now() - began
  const again = await fetch(`${url}/api/v1/${topic}/stream`, { headers: { ...bearer, 'last-event-id': tail.lastId } })
  await again.body!.cancel()

  expect(tail.seen).toMatchObject([{ event: 'end', data: { reason: fates[fate].reason } }])
  expect(tail.retry).toBeGreaterThanOrEqual(30_000)
  expect(ms).toBeLessThan(5_000)
  expect(again.status).toBe(fates[fate].then)
  expect(app.connections.count()).toBe(0)
})

test('what was published after a key was taken back does not reach its stream', async ({ app, core, url }) => {
  core.keys.set(key, { scope: 'admin' })
  const tail = await Tail.open(`${url}/api/v1/logs/stream?service=test`, bearer)
  await fates['is taken back'].make({ app, core })
  app.events.publish('logs', { timestamp: new Date().toISOString(), level: 'info', message: 'a secret', service: 'test' })
  await tail.until(({ ended }) => ended)

  expect(tail.text).not.toContain('a secret')
})

test('a stream whose key is still good runs on through many looks at it', async ({ app, core, url }) => {
  core.keys.set(key, { scope: 'admin' })
  const tail = await Tail.open(`${url}/api/v1/logs/stream?service=test`, bearer)
  const before = core.calls.length
  await expect.poll(() => core.calls.slice(before).filter(({ path }) => path.startsWith('/v1/auth/')).length).toBeGreaterThan(2)
  app.events.publish('logs', { timestamp: new Date().toISOString(), level: 'info', message: 'still here', service: 'test' })
  await tail.until(({ seen }) => seen.length === 1)
  tail.close()

  expect(tail.messages()).toEqual(['still here'])
})

test.for([['closed', 30_000], ['shutdown', 2_000], ['lifetime', 2_000]] as const)('a stream that ends as %s asks its client to come back no sooner than after %i ms', async ([reason, least], { app, url }) => {
  if (reason === 'lifetime') app.config = { ...app.config, api: { ...app.config.api, stream_life_ms: 100 } }
  const tails = await Promise.all(Array.from({ length: 20 }, async () => await Tail.open(`${url}/api/v1/logs/stream?service=test`, as('admin'))))
  if (reason === 'closed') for (const { id } of app.connections.list()) await app.connections.close(id)
  if (reason === 'shutdown') await app.connections.drain(0)
  for (const tail of tails) await tail.until(({ ended }) => ended)
  const waits = tails.map(({ retry = 0 }) => retry)

  expect(new Set(tails.flatMap(({ seen }) => seen.map(({ event, data }) => `${event} ${String(data.reason)}`)))).toEqual(new Set([`end ${reason}`]))
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(least)
  // Not all at the same moment.
  expect(new Set(waits).size).toBeGreaterThan(10)
})
