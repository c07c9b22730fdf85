import { describe, expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { as, keys, test } from '../../app.ts'

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const secret = 'a-secret-for-user-tokens-of-32-characters'
const post = (url: string, headers: Record<string, string>, payload: object = {}) => ({ method: 'POST' as const, url: `/api/v1${url}`, headers, payload })

async function tokenFor (app: FastifyInstance, input: object, headers: Record<string, string> = as('user')): Promise<string> {
  return (await app.inject(post('/user-tokens', headers, input))).json<{ token: string }>().token
}

const ticketFor = async (app: FastifyInstance, headers: Record<string, string>) => (await app.inject({ method: 'POST', url: '/api/v1/stream-tickets', headers })).json<{ ticket: string }>().ticket

test('user tokens are off unless a secret is set', async ({ app }) => {
  const res = await app.inject(post('/user-tokens', as('user'), { user_id: 'alice' }))

  expect([res.statusCode, res.json()]).toMatchObject([501, { error: { code: 'not_implemented', details: { setting: 'api.user_tokens_secret' } } }])
})

describe('a user token', () => {
  test.override({ settings: { MUXI_API_USER_TOKENS_SECRET: secret } })

  test('speaks for its user alone, at level user', async ({ app, core }) => {
    const res = await app.inject(post('/user-tokens', as('admin'), { user_id: 'alice', ttl_seconds: 60 }))
    const { token, ...rest } = res.json<{ token: string, user_id: string, expires_at: string }>()
    const chat = await app.inject(post('/chat', bearer(token), { content: 'Hi' }))
    const other = await app.inject(post('/chat', bearer(token), { content: 'Hi', user_id: 'bob' }))
    const admin = await app.inject({ url: '/api/v1/agents', headers: bearer(token) })

    expect([res.statusCode, rest.user_id]).toEqual([201, 'alice'])
    expect(Math.abs(Date.parse(rest.expires_at) - Date.now() - 60_000)).toBeLessThan(2_000)
    expect([chat.statusCode, other.statusCode, admin.statusCode]).toEqual([200, 403, 403])
    expect(core.calls.filter(({ path }) => path === '/v1/chat')).toMatchObject([{ user: 'alice' }])
  })

  test('opens the operations of its scope and no other', async ({ app }) => {
    const token = await tokenFor(app, { user_id: 'alice', scope: ['conversation_list', 'agent_chat*'] })
    const statuses = await Promise.all([
      { url: '/api/v1/conversations/alice', headers: bearer(token) },
      post('/agents/greeter/chat', bearer(token), { content: 'Hi' }),
      post('/chat', bearer(token), { content: 'Hi' }),
      post('/stream-tickets', bearer(token))
    ].map(async (call) => (await app.inject(call)).statusCode))

    expect(statuses).toEqual([200, 200, 403, 403])
  })

  test('makes no further token, and a bound key makes none for another user', async ({ app, core }) => {
    core.keys.set('bound-to-alice', { scope: 'user', sub: 'alice' })
    const token = await tokenFor(app, { user_id: 'alice' })
    const statuses = [
      (await app.inject(post('/user-tokens', bearer(token), { user_id: 'alice' }))).statusCode,
      (await app.inject(post('/user-tokens', bearer('bound-to-alice'), { user_id: 'bob' }))).statusCode,
      (await app.inject(post('/user-tokens', bearer('bound-to-alice'), { user_id: 'alice' }))).statusCode
    ]

    expect(statuses).toEqual([403, 403, 201])
  })

  test('ends with its key, with its own revocation, and with its time', async ({ app, core }) => {
    core.keys.set('parent-key', { scope: 'user' })
    const [first, second, third] = [await tokenFor(app, { user_id: 'a' }, bearer('parent-key')), await tokenFor(app, { user_id: 'b' }), await tokenFor(app, { user_id: 'c', ttl_seconds: 10 })]
    const status = async (token: string) => (await app.inject(post('/chat', bearer(token), { content: 'Hi' }))).statusCode
    expect([await status(first), await status(second), await status(third)]).toEqual([200, 200, 200])
    await app.inject(post('/auth/revocations', as('admin'), { key: 'parent-key' }))
    await app.inject(post('/auth/revocations', as('admin'), { key: second }))

    expect([await status(first), await status(second), await status(third)]).toEqual([401, 401, 200])
    expect(await status(keys.user.replace('sk', 'muxi_user'))).toBe(401)
  })

  test('that was changed in any way is none', async ({ app }) => {
    const token = await tokenFor(app, { user_id: 'alice' })
    const middle = Math.floor(token.length / 2)
    const broken = [token.slice(0, -2), `${token}AA`, token.slice(0, middle) + (token[middle] === 'A' ? 'B' : 'A') + token.slice(middle + 1), token.replace('user', 'ticket')]
    const statuses = await Promise.all(broken.map(async (key) => (await app.inject(post('/chat', bearer(key), { content: 'Hi' }))).statusCode))

    expect(statuses).toEqual([401, 401, 401, 401])
  })

  test('says nothing of the key inside', async ({ app }) => {
    const token = await tokenFor(app, { user_id: 'alice' })
    const decoded = Buffer.from(token.replace('muxi_user_', ''), 'base64url').toString('latin1')

    expect(token + decoded).not.toContain(keys.user.slice(3, 20))
    expect(decoded).not.toContain('alice')
  })
})

describe('a stream ticket', () => {
  const stream = (ticket: string) => ({ ...post(`/chat/stream?ticket=${ticket}`, {}, { content: 'Hi' }) })

  test('opens one stream, once', async ({ app }) => {
    const ticket = await ticketFor(app, as('user'))
    const [first, second] = [await app.inject(stream(ticket)), await app.inject(stream(ticket))]

    expect([first.statusCode, second.statusCode]).toEqual([200, 401])
    expect(first.body).toContain('event: message_end')
  })

  test('of many who use it at once lets one in', async ({ app }) => {
    const ticket = await ticketFor(app, as('admin'))
    const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await app.inject(stream(ticket))).statusCode))

    expect(statuses.filter((status) => status === 200)).toHaveLength(1)
  })

  test('opens nothing but streams, and a key in its place opens nothing', async ({ app }) => {
    const ticket = await ticketFor(app, as('admin'))

    expect((await app.inject({ url: '/api/v1/agents', headers: bearer(ticket) })).statusCode).toBe(401)
    expect((await app.inject({ url: `/api/v1/agents?ticket=${ticket}` })).statusCode).toBe(401)
    expect((await app.inject(stream(keys.admin))).statusCode).toBe(401)
    expect((await app.inject(stream(ticket))).statusCode).toBe(200)
  })

  test('is dead when its key is', async ({ app, core }) => {
    core.keys.set('short-lived-key', { scope: 'user' })
    const ticket = await ticketFor(app, bearer('short-lived-key'))
    await app.inject(post('/auth/revocations', as('admin'), { key: 'short-lived-key' }))

    expect((await app.inject(stream(ticket))).statusCode).toBe(401)
  })

  test('is in no line of the log', async ({ app, lines }) => {
    const ticket = await ticketFor(app, as('user'))
    await app.inject(stream(ticket))

    expect(JSON.stringify(lines.all)).not.toContain(ticket.slice(12, 40))
  })
})
