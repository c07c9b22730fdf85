import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import type { AuditEvent } from '../../schemas/audit.ts'
import { as, keys, test } from '../app.ts'

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const read = async (app: FastifyInstance, query = '') => (await app.inject({ url: `/api/v1/system/audit${query}`, headers: as('admin') })).json<{ events: AuditEvent[], has_more: boolean, next_before: string | null }>()

test('refusals, levels and changes by admins are listed, newest first, with who, what and where from', async ({ app }) => {
  await app.inject({ url: '/api/v1/agents', remoteAddress: '203.0.113.7' })
  await app.inject({ url: '/api/v1/agents', headers: bearer('wrong-wrong'), remoteAddress: '203.0.113.7' })
  await app.inject({ url: '/api/v1/agents', headers: as('user') })
  await app.inject({ method: 'DELETE', url: '/api/v1/agents/greeter?x', headers: as('admin') })
  await app.inject({ method: 'DELETE', url: '/api/v1/agents/greeter', headers: as('admin') })
  const { events } = await read(app)

  expect(events).toMatchObject([
    { event: 'admin_change', operation: 'agent_delete', method: 'DELETE', path: '/api/v1/agents/greeter', address: '127.0.0.1' },
    { event: 'refused', operation: 'agent_list', details: { reason: 'level' } },
    { event: 'refused', operation: 'agent_list', address: '203.0.113.7', details: { reason: 'unknown' }, key: expect.stringMatching(/^[\w-]{12}$/) as string },
    { event: 'refused', operation: 'agent_list', address: '203.0.113.7', details: { reason: 'missing' } }
  ])
  expect(JSON.stringify(events)).not.toContain('sk_muxi')
})

test('the list is filtered and paged', async ({ app }) => {
  for (let i = 0; i < 5; i++) await app.inject({ url: '/api/v1/agents', remoteAddress: `203.0.113.${i}` })
  const first = await read(app, '?limit=2')
  const rest = await read(app, `?limit=10&before=${first.next_before}`)

  expect([first.events.length, first.has_more, rest.events.length, rest.has_more]).toEqual([2, true, 3, false])
  expect((await read(app, '?address=203.0.113.3')).events).toHaveLength(1)
  expect((await read(app, '?event=admin_change')).events).toHaveLength(0)
  expect((await read(app, `?from=${new Date(Date.now() + 60_000).toISOString()}`)).events).toHaveLength(0)
  expect((await read(app, `?to=${new Date(Date.now() + 60_000).toISOString()}`)).events).toHaveLength(5)
})

test('a surge of refusals is one event, and a number in the metrics', async ({ app }) => {
  for (let i = 0; i < 150; i++) await app.inject({ url: '/api/v1/agents' })
  const [{ events: surges }, { events: refusals }] = [await read(app, '?event=refusals_surge'), await read(app, '?event=refused&limit=100')]
  const { payload } = await app.inject({ url: '/metrics', headers: as('admin') })

  expect([surges.length, refusals.length]).toEqual([1, 100])
  expect(payload).toContain('muxi_api_refusals_total{reason="missing"} 150')
  expect(payload).toContain('muxi_api_audit_events_total{event="refusals_surge"} 1')
})

describe('with a file of its own', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'muxi-audit-')), 'log', 'audit.log')
  test.override({ settings: { MUXI_API_AUDIT_FILE: file } })

  test('events are lines there, and none in the log', async ({ app, lines }) => {
    await app.inject({ url: '/api/v1/agents', headers: bearer('sk_muxi_wrong') })
    await app.close()
    const written = readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as AuditEvent)

    expect(written).toMatchObject([{ event: 'refused', details: { reason: 'unknown' } }])
    expect(lines.all.some((line) => 'audit' in line)).toBe(false)
  })
})

describe('with a limit of attempts', () => {
  test.override({ settings: { MUXI_API_KEY_ATTEMPTS: '3' } })

  test('an address that tries too many keys is blocked and audited; a key that has been good passes', async ({ app }) => {
    await app.inject({ url: '/api/v1/agents', headers: as('admin') })
    for (let i = 0; i < 4; i++) await app.inject({ url: '/api/v1/agents', headers: bearer(`guess-number-${i}`) })
    const answers = await Promise.all(Array.from({ length: 10 }, async (_, i) => await app.inject({ url: '/api/v1/agents', headers: bearer(`next-guess-${i}`) })))
    const blocked = answers.find(({ statusCode }) => statusCode === 429)
    const good = await app.inject({ url: '/api/v1/agents', headers: as('admin') })
    const { events } = await read(app, '?event=address_blocked')

    expect(blocked?.headers['retry-after']).toMatch(/^\d+$/)
    expect(blocked?.json()).toMatchObject({ error: { code: 'rate_limited' } })
    expect([good.statusCode, events.length]).toEqual([200, 1])
    expect(keys.admin.length).toBeGreaterThan(8)
  })
})
