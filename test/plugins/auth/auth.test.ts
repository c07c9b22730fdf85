import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect } from 'vitest'
import type { CoreCall } from '../../../core/embedded/index.ts'
import { answersOf, type KeyAnswers } from '../../../testing.ts'
import { as, keys, test as base } from '../../app.ts'

const test = base.extend<{ answers: KeyAnswers }>({ answers: async ({ core }, use) => { await use(answersOf(core)) } })
const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const list = { url: '/api/v1/agents' }
const chat = (headers: Record<string, string>, body: object = {}) => ({ method: 'POST' as const, url: '/api/v1/chat', headers, payload: { content: 'Hi', ...body } })

describe('the form of a key', () => {
  const malformed: [what: string, headers: Record<string, string>][] = [
    ['no header', {}],
    ['an empty header', { authorization: '' }],
    ['no key', { authorization: 'Bearer' }],
    ['an empty key', { authorization: 'Bearer  ' }],
    ['another scheme', { authorization: `Basic ${keys.admin}` }],
    ['no scheme', { authorization: keys.admin }],
    ['another scheme beside a good X-API-Key', { authorization: 'Basic eA==', 'x-api-key': keys.admin }],
    ['513 bytes', bearer('k'.repeat(513))],
    ['10,000 bytes', bearer('k'.repeat(10_000))],
    ['non-ASCII', bearer('schlüssel-schlüssel')],
    ['a blank', bearer('two words')],
    ['a tab', bearer('two\twords')],
    ['two keys', bearer(`${keys.admin}, Bearer ${keys.admin}`)],
    ['an empty X-API-Key', { 'x-api-key': '' }],
    ['a blank in X-API-Key', { 'x-api-key': 'two words' }]
  ]

  test.for(malformed)('%s is 401 without a word to the Core', async ([, headers], { app, core }) => {
    const before = core.calls.length
    const res = await app.inject({ ...list, headers })

    expect(res.statusCode).toBe(401)
    expect(res.headers['www-authenticate']).toBe('Bearer realm="muxi"')
    expect(res.json()).toMatchObject({ error: { code: 'unauthorized' } })
    expect(core.calls).toHaveLength(before)
  })

  test('512 bytes are a key like any other', async ({ app, core }) => {
    const key = 'k'.repeat(512)
    core.keys.set(key, { scope: 'admin' })

    expect((await app.inject({ ...list, headers: bearer(key) })).statusCode).toBe(200)
  })

  test('the scheme is read in any case, and X-API-Key does as well', async ({ app }) => {
    for (const headers of [{ authorization: `bearer   ${keys.admin}` }, { authorization: `BEARER ${keys.admin}` }, { 'x-api-key': keys.admin }]) {
      expect((await app.inject({ ...list, headers })).statusCode).toBe(200)
    }
  })

  test('a key in the query is none', async ({ app }) => {
    expect((await app.inject({ url: `/api/v1/agents?api_key=${keys.admin}&access_token=${keys.admin}` })).statusCode).toBe(401)
  })
})

describe.for(['all', 'real'] as const)('in front of a Core that offers %s', (offers) => {
  test.override({ offers })

  test('each kind of key reaches its level', async ({ app, core }) => {
    core.keys
      .set('sk_muxi_user_that_is_admin_0000', { scope: 'admin' })
      .set('revoked-revoked', { scope: 'admin', revoked: true })
      .set('expired-expired', { scope: 'admin', exp: 1 })
    const statuses: Record<string, number[]> = {}
    for (const key of [keys.user, keys.admin, 'sk_muxi_user_that_is_admin_0000', 'wrong-wrong', 'revoked-revoked', 'expired-expired']) {
      const answers = [await app.inject({ ...list, headers: bearer(key) }), await app.inject(chat(bearer(key)))]
      statuses[key] = answers.map(({ statusCode }) => statusCode)
    }

    expect(statuses).toEqual({
      [keys.user]: [403, 200],
      [keys.admin]: [200, 200],
      sk_muxi_user_that_is_admin_0000: [200, 200],
      'wrong-wrong': [401, 401],
      'revoked-revoked': [401, 401],
      'expired-expired': [401, 401]
    })
  })

  test('every refusal of a key reads the same', async ({ app, core }) => {
    core.keys.set('revoked-revoked', { scope: 'user', revoked: true })
    const messages = await Promise.all([bearer('wrong-wrong'), bearer('revoked-revoked'), bearer('two words'), bearer('k'.repeat(600)), {}].map(async (headers) => {
      const { error } = (await app.inject({ ...list, headers })).json<{ error: Record<string, unknown> }>()
      return JSON.stringify({ ...error, request_id: '' })
    }))

    expect(new Set(messages)).toEqual(new Set(['{"code":"unauthorized","message":"invalid or missing API key: send the header Authorization: Bearer <key>","request_id":""}']))
  })
})

test('a user key on an operation for admins is told which level it lacks', async ({ app }) => {
  const res = await app.inject({ ...list, headers: as('user') })

  expect(res.statusCode).toBe(403)
  expect(res.headers['www-authenticate']).toBe('Bearer realm="muxi", error="insufficient_scope", scope="admin"')
  expect(res.json()).toMatchObject({ error: { code: 'forbidden', message: 'this needs a key of level admin' } })
})

test('a thousand first uses of one key at once are one question to the Core', async ({ app, answers }) => {
  const statuses = await Promise.all(Array.from({ length: 1_000 }, async () => (await app.inject({ ...list, headers: bearer('wrong-wrong') })).statusCode))

  expect(new Set(statuses)).toEqual(new Set([401]))
  expect(answers.asked).toBe(1)
})

describe('with short caches', () => {
  test.override({ settings: { MUXI_API_KEY_CACHE_MS: '60', MUXI_API_KEY_CACHE_NEGATIVE_MS: '60' } })

  test('a revoked key ends, and a new one begins', async ({ app, core }) => {
    const status = async (key: string) => (await app.inject({ ...list, headers: bearer(key) })).statusCode
    core.keys.set('first-key', { scope: 'admin' })
    expect([await status('first-key'), await status('second-key')]).toEqual([200, 401])
    core.keys.delete('first-key')
    core.keys.set('second-key', { scope: 'admin' })

    await expect.poll(async () => [await status('first-key'), await status('second-key')]).toEqual([401, 200])
  })
})

describe('a Core that gives no verdict', () => {
  test('because it is away is 503 with Retry-After, never 401', async ({ app, answers }) => {
    await answers.away()
    const both = [await app.inject({ ...list, headers: bearer('some-key') }), await app.inject({ ...list, headers: bearer('some-key') })]
    await answers.back()

    for (const res of both) {
      expect(res.statusCode).toBe(503)
      expect(res.headers['retry-after']).toBe('1')
      expect(res.headers['www-authenticate']).toBeUndefined()
      expect(res.json()).toMatchObject({ error: { code: 'core_unavailable' } })
    }
    await expect.poll(async () => (await app.inject({ ...list, headers: bearer(keys.admin) })).statusCode).toBe(200)
  })

  const faults: [what: string, fault: (answers: KeyAnswers) => void, status: number][] = [
    ['garbage', ({ garbage }) => { garbage() }, 502],
    ['an empty answer', ({ garbage }) => { garbage('empty') }, 502],
    ['another role', ({ garbage }) => { garbage('role') }, 502],
    ['an error', ({ failing }) => { failing(500) }, 503],
    ['an overload', ({ failing }) => { failing(503) }, 503],
    ['a reset', ({ failing }) => { failing(0) }, 503]
  ]

  test.for(faults)('but %s is an error that is not remembered', async ([, fault, status], { app, answers }) => {
    fault(answers)
    const failed = await app.inject({ ...list, headers: as('admin') })
    answers.heal()
    await expect.poll(() => app.core.state).toBe('up')
    const healed = await app.inject({ ...list, headers: as('admin') })

    expect([failed.statusCode, healed.statusCode]).toEqual([status, 200])
    expect(failed.headers['www-authenticate']).toBeUndefined()
  })

  test('does not keep a key that is known from being served', async ({ app, answers }) => {
    await app.inject({ ...list, headers: as('admin') })
    answers.failing(503)

    expect((await app.inject({ ...list, headers: as('admin') })).statusCode).toBe(200)
  })
})

describe('in an outage', () => {
  test.override({ settings: { MUXI_API_KEY_CACHE_MS: '50', MUXI_API_KEY_CACHE_SOFT_MS: '60', MUXI_API_KEY_CACHE_STALE_MS: '1500', MUXI_API_KEY_CACHE_NEGATIVE_MS: '50' } })
  // Needs nothing of the Core but the verdict.
  const ticket = (key: string) => ({ method: 'POST' as const, url: '/api/v1/stream-tickets', headers: bearer(key) })

  test('a user key that is known is served and marked, then 503; an admin key and a refused one are not', async ({ app, core }) => {
    core.keys.set('revoked-before', { scope: 'user' })
    for (const key of [keys.user, keys.admin, 'revoked-before']) await app.inject(ticket(key))
    core.keys.delete('revoked-before')
    await expect.poll(async () => (await app.inject(ticket('revoked-before'))).statusCode).toBe(401)
    await core.down()
    await sleep(120)
    const [user, admin, revoked] = await Promise.all([keys.user, keys.admin, 'revoked-before'].map(async (key) => await app.inject(ticket(key))))
    const ready = async () => (await app.inject({ url: '/health/ready' })).payload

    expect([user!.statusCode, user!.headers['x-auth-stale']]).toEqual([201, '1'])
    expect([admin!.statusCode, revoked!.statusCode]).toEqual([503, 503])
    // By failing, the calls make it look at the Core again.
    await expect.poll(ready).toContain('cannot be reached')
    expect(await ready()).toContain('keys are let in by older verdicts')
    await expect.poll(async () => (await app.inject(ticket(keys.user))).statusCode, { interval: 100 }).toBe(503)
    await core.up()
    await expect.poll(async () => {
      const { statusCode, headers } = await app.inject(ticket(keys.user))
      return [statusCode, headers['x-auth-stale']]
    }).toEqual([201, undefined])
  })
})

describe('whom a call is for', () => {
  const userOf = (calls: CoreCall[]) => calls.filter(({ path }) => path === '/v1/chat').at(-1)?.user
  const bytes = (text: string) => Buffer.from(text).toString('latin1')

  test('is the client\'s word for a shared key: body, then header, then nobody', async ({ app, core }) => {
    const said: unknown[] = []
    for (const [headers, body] of [[{ 'x-muxi-user-id': 'bob' }, { user_id: 'alice' }], [{ 'x-muxi-user-id': 'bob', 'x-user-id': 'carol' }, {}], [{ 'x-user-id': 'carol' }, {}], [{}, {}]] as const) {
      const res = await app.inject(chat({ ...as('user'), ...headers }, body))
      said.push([res.json<{ user_id: string }>().user_id, userOf(core.calls)])
    }

    expect(said).toEqual([['alice', 'alice'], ['bob', 'bob'], ['carol', 'carol'], ['0', '0']])
  })

  test('is the one that a bound key belongs to', async ({ app, core }) => {
    core.keys.set('bound-to-alice', { scope: 'user', sub: 'alice' })
    const status = async (headers: Record<string, string>, body: object) => (await app.inject(chat({ ...bearer('bound-to-alice'), ...headers }, body))).statusCode

    expect(await status({}, {})).toBe(200)
    expect(userOf(core.calls)).toBe('alice')
    expect(await status({ 'x-muxi-user-id': 'alice' }, { user_id: 'alice' })).toBe(200)
    const before = core.calls.length
    expect(await status({}, { user_id: 'bob' })).toBe(403)
    expect(await status({ 'x-muxi-user-id': 'bob' }, {})).toBe(403)
    expect(await status({ 'x-user-id': 'bob' }, {})).toBe(403)
    expect(await status({ 'x-muxi-user-id': 'bob' }, { user_id: 'alice' })).toBe(403)
    expect(await status({ 'x-muxi-user-id': 'Alice' }, {})).toBe(403)
    expect(core.calls).toHaveLength(before)
  })

  test('compares e-mail addresses in lower case', async ({ app, core }) => {
    core.keys.set('bound-to-address', { scope: 'user', sub: 'Ada@Example.org' })
    for (const user of ['ada@example.org', 'ADA@EXAMPLE.ORG', undefined]) {
      const res = await app.inject(chat(bearer('bound-to-address'), { user_id: user }))
      expect([res.statusCode, res.json<{ user_id: string }>().user_id, userOf(core.calls)]).toEqual([200, 'ada@example.org', 'ada@example.org'])
    }
    expect((await app.inject(chat(as('user'), { user_id: 'Zed@Example.org' }))).json()).toMatchObject({ user_id: 'zed@example.org' })
    expect((await app.inject(chat(as('user'), { user_id: 'Zed' }))).json()).toMatchObject({ user_id: 'Zed' })
  })

  test('may be written in any script, in the body and in the header', async ({ app, core }) => {
    core.keys.set('bound-to-zoe', { scope: 'user', sub: 'Zoë 用户' })
    for (const [headers, body] of [[{}, { user_id: 'Zoë 用户' }], [{ 'x-muxi-user-id': bytes('Zoë 用户') }, {}], [{}, {}]] as const) {
      const res = await app.inject(chat({ ...bearer('bound-to-zoe'), ...headers }, body))
      expect([res.statusCode, res.json<{ user_id: string }>().user_id, userOf(core.calls)]).toEqual([200, 'Zoë 用户', bytes('Zoë 用户')])
    }
    expect((await app.inject(chat({ ...bearer('bound-to-zoe'), 'x-muxi-user-id': bytes('Zoé') }))).statusCode).toBe(403)
  })

  test('must have a name of 1 to 256 characters', async ({ app }) => {
    const status = async (name: string) => (await app.inject(chat({ ...as('user'), 'x-muxi-user-id': name }))).statusCode

    expect([await status('u'.repeat(256)), await status('u'.repeat(257)), await status(''), await status('a\tb')]).toEqual([200, 400, 400, 400])
  })

  test('is not told to the Core by a call that did not ask', async ({ app, core }) => {
    await app.inject({ ...list, headers: { ...as('admin'), 'x-muxi-user-id': 'bob' } })

    expect(core.calls.filter(({ path }) => path === '/v1/agents')).toMatchObject([{ status: 200 }])
    expect(core.calls.some(({ user }) => user !== undefined)).toBe(false)
  })
})

test('no line of the log holds a key', async ({ app, core, lines }) => {
  for (const headers of [as('user'), as('admin'), bearer('sk_muxi_wrong_wrong'), { 'x-api-key': 'sk_muxi_other_other' }]) {
    await app.inject({ ...list, headers })
    await app.inject(chat(headers))
  }
  core.fail({ status: 500 })
  await app.inject({ ...list, headers: bearer('sk_muxi_third_third') })

  expect(lines.all.length).toBeGreaterThan(8)
  expect(JSON.stringify(lines.all)).not.toContain('sk_muxi')
})

test('verdicts are counted by where they came from', async ({ app }) => {
  await app.inject({ ...list, headers: as('admin') })
  await app.inject({ ...list, headers: as('admin') })
  await app.inject({ ...list, headers: bearer('wrong-wrong') })
  const { payload } = await app.inject({ url: '/metrics', headers: as('admin') })

  expect(payload).toContain('muxi_api_key_verdicts_total{source="core",verdict="yes"} 1')
  expect(payload).toContain('muxi_api_key_verdicts_total{source="cache",verdict="yes"} 2')
  expect(payload).toContain('muxi_api_key_verdicts_total{source="core",verdict="no"} 1')
})
