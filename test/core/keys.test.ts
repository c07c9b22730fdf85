import { describe, expect } from 'vitest'
import { keys } from '../app.ts'
import { failureOf, test } from './client.ts'

const ways = ['introspection', 'probing'] as const
const soon = () => Math.floor(Date.now() / 1_000) + 60
const json = { 'content-type': 'application/json' }

test('introspection and probing say the same of every kind of key', async ({ core, client }) => {
  core.keys
    .set('sk_muxi_user_that_is_admin_0000', { scope: 'admin' })
    .set('sk_muxi_client_that_is_user_000', { scope: 'user' })
    .set('revoked-user', { scope: 'user', revoked: true })
    .set('revoked-admin', { scope: 'admin', revoked: true })
    .set('expired', { scope: 'user', exp: 1 })
    .set('living', { scope: 'admin', exp: soon() })
  const wanted: Record<string, string | undefined> = {
    [keys.user]: 'user',
    [keys.admin]: 'admin',
    sk_muxi_user_that_is_admin_0000: 'admin',
    sk_muxi_client_that_is_user_000: 'user',
    'revoked-user': undefined,
    'revoked-admin': undefined,
    expired: undefined,
    living: 'admin',
    wrong: undefined,
    '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~': undefined,
    x: undefined
  }
  for (const [key, access] of Object.entries(wanted)) {
    for (const way of ways) expect((await client.accessOf(key, way))?.access, `${way} of ${key}`).toBe(access)
  }
})

test('introspection tells whom a key is bound to and when it ends', async ({ core, client }) => {
  const exp = soon()
  core.keys.set('bound', { scope: 'user', sub: 'alice', exp })

  expect(await client.accessOf('bound', 'introspection')).toEqual({ access: 'user', sub: 'alice', exp })
  expect(await client.accessOf(keys.user, 'introspection')).toEqual({ access: 'user' })
})

test('a key travels in the body of introspection, never in an address', async ({ core, client }) => {
  await client.accessOf(keys.user, 'introspection')
  await client.accessOf(keys.user, 'probing')

  expect(core.calls.map(({ method, path, query }) => method + path + query)).toEqual(['POST/v1/auth/introspect', 'GET/v1/sops'])
})

describe('an answer of introspection', () => {
  const active = (rest: object) => JSON.stringify({ active: true, scope: 'user', ...rest })

  test.for([
    ['an unknown scope', active({ scope: 'superadmin' })],
    ['no scope', '{"active":true}'],
    ['a scope that is no text', active({ scope: ['admin'] })],
    ['an empty scope', active({ scope: '' })],
    ['a user that is no text', active({ sub: 42 })],
    ['an end that is no number', active({ exp: 'never' })],
    ['no word on whether it is active', '{"scope":"admin"}'],
    ['active that is no boolean', active({ active: 'yes' })],
    ['another form', '[]'],
    ['null', 'null'],
    ['HTML', '<html></html>'],
    ['nothing', '']
  ])('with %s is core_error, never a yes or a no', async ([, body], { core, client }) => {
    core.fail({ path: '/v1/auth/introspect', status: 200, body: body!, headers: json })

    expect(await failureOf(client.accessOf(keys.admin, 'introspection'))).toMatchObject({ code: 'core_error', statusCode: 502 })
  })

  test('may name several scopes: the highest counts, what is no level does not', async ({ core, client }) => {
    const scopes = { 'user admin': 'admin', 'openid user': 'user', 'admin user': 'admin' }
    for (const [scope, access] of Object.entries(scopes)) {
      core.fail({ path: '/v1/auth/introspect', status: 200, body: active({ scope, client_id: 'c', sub: null }), headers: json, times: 1 })
      expect(await client.accessOf('some-key', 'introspection')).toEqual({ access })
    }
  })

  test('that has ended is no', async ({ core, client }) => {
    core.fail({ path: '/v1/auth/introspect', status: 200, body: active({ exp: Date.now() / 1_000 - 1 }), headers: json })

    expect(await client.accessOf('some-key', 'introspection')).toBeUndefined()
  })
})

describe('a Core that cannot say', () => {
  test.for(ways.flatMap((way) => [[way, 500, 'core_unavailable'], [way, 404, 'core_error'], [way, 429, 'core_unavailable'], [way, 503, 'core_unavailable']] as const))('by %s with status %i is %s', async ([way, status, code], { core, client }) => {
    core.fail({ status })

    expect(await failureOf(client.accessOf(keys.user, way))).toMatchObject({ code })
  })

  test.for(ways)('by %s, when it gives garbage, drops or is away, is an error', async (way, { core, client }) => {
    const codes: string[] = []
    for (const garbage of ['html', 'half', 'json', 'empty', 'wrong-envelope'] as const) {
      core.fail({ garbage, times: 1 })
      codes.push((await failureOf(client.accessOf(keys.user, way))).code)
    }
    core.fail({ drop: true })
    codes.push((await failureOf(client.accessOf(keys.user, way))).code)
    await core.down()
    codes.push((await failureOf(client.accessOf(keys.user, way))).code)

    expect(codes).toEqual([...Array(5).fill('core_error'), 'core_unavailable', 'core_unavailable'])
  })

  test('because it refuses this server\'s own key is an error of this server', async ({ core, client }) => {
    core.keys.delete(keys.admin)

    expect((await failureOf(client.accessOf(keys.user, 'introspection'))).code).toBe('core_error')
  })
})
