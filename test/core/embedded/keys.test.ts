import { request } from 'node:http'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { expect } from 'vitest'
import { test } from './core.ts'

const introspect = (token: string) => ({ method: 'POST', body: new URLSearchParams({ token, token_type_hint: 'access_token' }) })

test('keys that were not given are generated in the form of MUXI keys', async ({ core }) => {
  expect(core.userKey).toMatch(/^sk_muxi_user_[A-Za-z0-9]{24}$/)
  expect(core.adminKey).toMatch(/^sk_muxi_admin_[A-Za-z0-9]{24}$/)
})

test('an admin route refuses the client key, and a client route the admin key', async ({ core }) => {
  const { userKey, adminKey, url } = core
  const get = async (path: string, headers: Record<string, string>) => (await fetch(url + path, { headers })).status

  expect(await get('/v1/overlord/soul', { 'X-Muxi-Admin-Key': adminKey })).toBe(200)
  expect(await get('/v1/overlord/soul', { 'X-Muxi-Admin-Key': userKey })).toBe(401)
  expect(await get('/v1/overlord/soul', { 'X-Muxi-Client-Key': userKey })).toBe(401)
  expect(await get('/v1/sops', { 'X-Muxi-Client-Key': userKey })).toBe(200)
  expect(await get('/v1/sops', { 'X-Muxi-Client-Key': adminKey })).toBe(401)
  expect(await get('/v1/sops', { 'X-Muxi-Admin-Key': adminKey })).toBe(401)
  expect(await get('/v1/sops', { Authorization: `Bearer ${userKey}` })).toBe(401)
})

test('a shared route takes either key, and wants a user from the client key only', async ({ core: { url, userKey, adminKey } }) => {
  const get = async (headers: Record<string, string>) => (await fetch(`${url}/v1/requests`, { headers })).status

  expect(await get({ 'x-muxi-admin-key': adminKey })).toBe(200)
  expect(await get({ 'x-muxi-client-key': userKey, 'x-muxi-user-id': 'bob' })).toBe(200)
  expect(await get({ 'x-muxi-client-key': userKey })).toBe(400)
  expect(await get({})).toBe(401)
})

test('a key with a byte outside ASCII is an internal error', async ({ core }) => {
  const sent = request(`${core.url}/v1/agents`, { headers: { 'x-muxi-admin-key': 'sk_é' } }).end()
  const [res] = await once(sent, 'response') as [IncomingMessage]
  res.resume()

  expect(res.statusCode).toBe(500)
})

test('a revoked or expired key opens nothing', async ({ core }) => {
  core.keys.set('sk_old', { scope: 'admin', exp: 1 }).set('sk_gone', { scope: 'admin', revoked: true }).set('sk_new', { scope: 'admin' })
  const status = async (key: string) => (await fetch(`${core.url}/v1/agents`, { headers: { 'x-muxi-admin-key': key } })).status

  expect([await status('sk_old'), await status('sk_gone'), await status('sk_new')]).toEqual([401, 401, 200])
})

test('introspection tells the level, subject and life of a key, without the envelope', async ({ core, asAdmin }) => {
  const exp = Math.floor(Date.now() / 1000) + 60
  core.keys.set('sk_bound', { scope: 'user', sub: 'alice', exp })
  const res = await asAdmin('/v1/auth/introspect', introspect('sk_bound'))

  expect(res.headers.get('cache-control')).toBe('no-store')
  expect(await res.json()).toEqual({ active: true, scope: 'user', sub: 'alice', exp })
  expect(await (await asAdmin('/v1/auth/introspect', introspect(core.adminKey))).json()).toEqual({ active: true, scope: 'admin' })
})

test('introspection says nothing of a key that is unknown or revoked', async ({ core, asAdmin }) => {
  core.keys.set('sk_gone', { scope: 'user', sub: 'alice', revoked: true })

  expect(await (await asAdmin('/v1/auth/introspect', introspect('sk_never'))).json()).toEqual({ active: false })
  expect(await (await asAdmin('/v1/auth/introspect', introspect('sk_gone'))).json()).toEqual({ active: false })
})

test('introspection needs the admin key and a token, and its calls keep neither', async ({ core, asAlice, asAdmin }) => {
  const refused = await asAlice('/v1/auth/introspect', introspect(core.userKey))
  const empty = await asAdmin('/v1/auth/introspect', { method: 'POST', body: new URLSearchParams() })
  await asAdmin('/v1/auth/introspect', introspect(core.userKey))

  expect([refused.status, empty.status]).toEqual([401, 422])
  expect(JSON.stringify(core.calls)).not.toContain('sk_muxi')
})
