import { describe, expect } from 'vitest'
import { as, keys, test as base } from '../../app.ts'
import { startIssuer, type Issuer } from '../../fixtures/issuer.ts'

type Use<T> = (value: T) => Promise<void>

const withIssuer = base.extend<{ issuer: Issuer }>({
  issuer: async ({}, use) => {
    const issuer = await startIssuer()
    await use(issuer)
    await issuer.close()
  }
})
const test = withIssuer.extend({
  settings: async ({ issuer }: { issuer: Issuer }, use: Use<Record<string, string>>) => {
    await use({ MUXI_API_JWT_ISSUER: issuer.url, MUXI_API_JWT_AUDIENCE: 'muxi-api', MUXI_API_JWT_JWKS_URI: issuer.jwksUri, MUXI_CORE_ADMIN_ROLES: 'admin,muxi-operator' })
  }
})
const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const chat = (key: string, payload: object = {}) => ({ method: 'POST' as const, url: '/api/v1/chat', headers: bearer(key), payload: { content: 'Hi', ...payload } })
const list = (key: string) => ({ url: '/api/v1/agents', headers: bearer(key) })

describe('a JWT of the configured issuer', () => {
  test('opens the level of its roles, for its subject; the Core sees the server\'s own keys alone', async ({ app, core, issuer }) => {
    const user = await issuer.sign({ sub: 'alice', scope: 'openid user' })
    const operator = await issuer.sign({ sub: 'root', roles: ['muxi-operator'] })
    const answers = [await app.inject(chat(user)), await app.inject(list(user)), await app.inject(list(operator)), await app.inject(chat(user, { user_id: 'bob' }))]

    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 403, 200, 403])
    expect(answers[0]!.json()).toMatchObject({ user_id: 'alice' })
    expect(core.calls.some(({ path }) => path === '/v1/auth/introspect')).toBe(false)
    expect(issuer.asked).toBe(1)
  })

  test.for([
    ['without a role that is known', { scope: 'openid' }, {}],
    ['for another audience', { scope: 'user' }, { audience: 'other' }],
    ['at its end', { scope: 'user' }, { expires: Math.floor(Date.now() / 1_000) - 60 }]
  ] as const)('%s is refused', async ([, claims, header], { app, issuer }) => {
    expect((await app.inject(chat(await issuer.sign(claims, header)))).statusCode).toBe(401)
  })

  test('that was changed, or signed by nobody, is refused', async ({ app, issuer }) => {
    const [head, body, signature] = (await issuer.sign({ scope: 'user' })).split('.') as [string, string, string]
    const admin = Buffer.from(Buffer.from(body, 'base64url').toString().replace('"user"', '"admin"')).toString('base64url')
    const none = Buffer.from('{"alg":"none"}').toString('base64url')
    const statuses = await Promise.all([`${head}.${admin}.${signature}`, `${none}.${body}.`, `${head}.${body}.`].map(async (key) => (await app.inject(chat(key))).statusCode))

    expect(statuses).toEqual([401, 401, 401])
  })

  test('ends with its time, also where it is remembered', async ({ app, issuer }) => {
    // The clocks of two machines may differ by 5 s.
    const token = await issuer.sign({ scope: 'user' }, { expires: Math.ceil(Date.now() / 1_000) + 1 })
    const status = async () => (await app.inject(chat(token))).statusCode
    const first = await status()

    expect(first).toBe(200)
    await expect.poll(status, { timeout: 9_000, interval: 300 }).toBe(401)
  }, 15_000)

  test('is known by a new key soon after that was taken into use', async ({ app, issuer }) => {
    expect((await app.inject(chat(await issuer.sign({ scope: 'user' })))).statusCode).toBe(200)
    await issuer.rotate()
    const token = await issuer.sign({ scope: 'user', sub: 'after' })

    await expect.poll(async () => (await app.inject(chat(token))).statusCode, { timeout: 14_000, interval: 500 }).toBe(200)
  }, 20_000)

  test('is 503 while the keys cannot be fetched, never 401', async ({ app, issuer }) => {
    issuer.isAway = true
    const token = await issuer.sign({ scope: 'user' })
    const away = await app.inject(chat(token))
    issuer.isAway = false
    const back = await app.inject(chat(token))

    expect([away.statusCode, away.json(), back.statusCode]).toMatchObject([503, { error: { code: 'core_unavailable' } }, 200])
  })

  test('of another issuer is a key like any other: the Core decides', async ({ app, core, issuer }) => {
    const foreign = await issuer.sign({ scope: 'admin' }, { issuer: 'https://elsewhere.example' })
    const before = (await app.inject(list(foreign))).statusCode
    core.keys.set(`${foreign}x`, { scope: 'admin' })

    expect([before, (await app.inject(list(`${foreign}x`))).statusCode, (await app.inject(list(keys.admin))).statusCode]).toEqual([401, 200, 200])
  })
})

describe('a JWT for another audience', () => {
  test.for([['of the configured issuer', {}], ['of another', { issuer: 'https://elsewhere.example' }]] as const)('%s is refused on every protocol, and the Core never sees it', async ([, of], { app, core, issuer }) => {
    const key = await issuer.sign({ scope: 'user' }, { ...of, audience: 'https://other.example/mcp' })
    core.keys.set(key, { scope: 'user' })
    core.calls.splice(0)
    const mcp = await app.inject({ method: 'POST', url: '/mcp', headers: { ...bearer(key), host: 'localhost', accept: 'application/json, text/event-stream' }, payload: { jsonrpc: '2.0', id: 1, method: 'tools/list' } })
    const rest = await app.inject(chat(key))

    expect([mcp.statusCode, rest.statusCode]).toEqual([401, 401])
    expect(core.calls).toEqual([])
  })
})

describe('verdicts that the Core signs (RFC 9701)', () => {
  const signedTest = withIssuer.extend({
    settings: async ({ issuer }: { issuer: Issuer }, use: Use<Record<string, string>>) => { await use({ MUXI_CORE_INTROSPECTION_JWKS_URI: issuer.jwksUri, MUXI_CORE_INTROSPECTION_ISSUER: issuer.url }) }
  })
  const typ = 'token-introspection+jwt'

  signedTest('are believed', async ({ app, core, issuer }) => {
    const body = await issuer.sign({ token_introspection: { active: true, scope: 'user', sub: 'alice' } }, { typ })
    core.fail({ path: '/v1/auth/introspect', status: 200, body, headers: { 'content-type': 'application/token-introspection+jwt' } })
    core.keys.set('some-key-of-alice', { scope: 'user' })
    const res = await app.inject(chat('some-key-of-alice'))

    expect([res.statusCode, res.json()]).toMatchObject([200, { user_id: 'alice' }])
  })

  signedTest('say no as well', async ({ app, core, issuer }) => {
    core.fail({ path: '/v1/auth/introspect', status: 200, body: await issuer.sign({ token_introspection: { active: false } }, { typ }) })

    expect((await app.inject(chat('some-key'))).statusCode).toBe(401)
  })

  signedTest.for([['not signed at all', undefined, undefined], ['signed for somebody else', { typ, audience: 'other' }, undefined], ['a JWT of another kind', { typ: 'at+jwt' }, undefined], ['signed with another key', { typ }, true]] as const)(
    'are errors where they are %s', async ([, header, rotated], { app, core, issuer }) => {
      const body = header === undefined ? '{"active":true,"scope":"admin"}' : await issuer.sign({ token_introspection: { active: true, scope: 'admin' } }, header)
      if (rotated) await issuer.rotate()
      core.fail({ path: '/v1/auth/introspect', status: 200, body })
      const res = await app.inject({ url: '/api/v1/agents', headers: as('admin') })

      expect([res.statusCode, res.json()]).toMatchObject([502, { error: { code: 'core_error' } }])
    })
})
