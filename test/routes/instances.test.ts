import { describe, expect } from 'vitest'
import pkg from '../../package.json' with { type: 'json' }
import type { Static } from '@sinclair/typebox'
import type { InstanceList } from '../../schemas/instances.ts'
import { as, test } from '../app.ts'

const request = { url: '/api/v1/system/instances', headers: as('admin') }
type List = Static<typeof InstanceList>

test('instance_list shows the one that answers: where it listens, since when, and what it has to do', async ({ app, url }) => {
  const before = Date.now()
  const res = await app.inject(request)
  const [one] = res.json<List>().instances

  expect([res.statusCode, res.json()]).toEqual([200, {
    answered_by: app.cluster.id,
    instances: [{
      id: app.cluster.id,
      version: pkg.version,
      address: url,
      started_at: expect.any(String),
      told_at: expect.any(String),
      state: 'ready',
      core: 'up',
      load: { requests: 1, streams: { log_stream: 0, trace_stream: 0, chat_stream: 0, mcp: 0, rtc_stream: 0, socket: 0 }, event_loop: expect.any(Number), memory_mb: expect.any(Number) }
    }]
  }])
  expect(Date.parse(one!.started_at)).toBeLessThan(before)
  expect(Date.parse(one!.told_at)).toBeGreaterThanOrEqual(before)
  expect(res.headers['x-muxi-instance']).toBe(app.cluster.id)
})

test('it does not listen yet while it starts; it counts its streams, and names what the Core is', async ({ app, core }) => {
  const starting = await app.inject(request)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  core.fail({ path: '/v1/chat', silent: true })
  const leaving = new AbortController()
  await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers: { ...as('user'), 'content-type': 'application/json' }, body: '{"content":"Hi"}', signal: leaving.signal })
  const busy = (await app.inject(request)).json<List>()
  leaving.abort()
  await core.down()
  await app.core.check()
  const away = (await app.inject(request)).json<List>()

  const [first] = starting.json<List>().instances
  expect(first).toMatchObject({ state: 'starting' })
  expect(first).not.toHaveProperty('address')
  expect(busy.instances).toMatchObject([{ address: url, load: { requests: 2, streams: { chat_stream: 1 } } }])
  expect(away.instances).toMatchObject([{ state: 'not_ready', core: 'the MUXI Core cannot be reached (ECONNREFUSED)' }])
})

test('one that stops says so, and where it was', async ({ app, url }) => {
  app.health.draining = true
  app.server.close()

  expect((await app.inject(request)).json<List>().instances).toMatchObject([{ state: 'draining', address: url }])
})

describe('on all addresses', () => {
  test.override({ settings: { MUXI_API_HOST: '0.0.0.0' } })

  test('its address is the name of its host', async ({ app }) => {
    await app.listen({ host: '127.0.0.1', port: 0 })
    const [one] = (await app.inject(request)).json<List>().instances

    expect(one!.address).toMatch(/^http:\/\/[\w.-]+:\d+$/)
    expect(one!.address).not.toContain('0.0.0.0')
  })
})

test('it is for admins', async ({ app }) => {
  expect((await app.inject({ ...request, headers: as('user') })).statusCode).toBe(403)
})
