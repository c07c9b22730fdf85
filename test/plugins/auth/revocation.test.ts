import { createHash, createHmac } from 'node:crypto'
import { describe, expect } from 'vitest'
import { as, keys, test } from '../../app.ts'

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const secret = `whsec_${Buffer.from('a secret of the Core, 32 bytes!!').toString('base64')}`
const revoke = (payload: object, headers: Record<string, string> = as('admin')) => ({ method: 'POST' as const, url: '/api/v1/auth/revocations', headers, payload })

function signed (payload: object, { at = Date.now(), key = secret, body = JSON.stringify(payload) } = {}) {
  const [id, time] = ['msg_1', String(Math.floor(at / 1_000))]
  const mac = createHmac('sha256', Buffer.from(key.slice(6), 'base64')).update(`${id}.${time}.${body}`).digest('base64')
  return { ...revoke(payload, { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': `v1,bm9uZQ== v1,${mac}`, 'content-type': 'application/json' }), payload: JSON.stringify(payload) }
}

test('a key is refused from then on, although the Core says yes', async ({ app, core }) => {
  core.keys.set('stolen-key', { scope: 'user' })
  const chat = async () => (await app.inject({ method: 'POST', url: '/api/v1/chat', headers: bearer('stolen-key'), payload: { content: 'Hi' } })).statusCode
  expect(await chat()).toBe(200)
  const res = await app.inject(revoke({ key_sha256: createHash('sha256').update('stolen-key').digest('hex') }))

  expect([res.statusCode, res.json(), await chat()]).toEqual([200, { status: 'revoked' }, 401])
})

test('a running stream of the key ends with an error event within a second', async ({ core, url }) => {
  core.keys.set('stolen-key', { scope: 'user' })
  core.fail({ path: '/v1/chat', silent: true })
  const answer = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers: { ...bearer('stolen-key'), 'content-type': 'application/json' }, body: JSON.stringify({ content: 'Hi' }) })
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = (await reader.read()).value ?? ''
  const began = performance.now()
  await fetch(`${url}/api/v1/auth/revocations`, { method: 'POST', headers: { ...as('admin'), 'content-type': 'application/json' }, body: JSON.stringify({ key: 'stolen-key' }) })
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) text += piece.value

  expect(performance.now() - began).toBeLessThan(1_500)
  expect(text).toContain('event: error\ndata: {"error":{"code":"unauthorized"')
  expect(text).not.toContain('message_end')
})

test('the Core, too, stops to answer who may hear no more', async ({ core, url }) => {
  core.keys.set('stolen-key', { scope: 'user' })
  core.fail({ path: '/v1/chat', silent: true })
  const stream = fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers: { ...bearer('stolen-key'), 'content-type': 'application/json' }, body: JSON.stringify({ content: 'Hi' }) })
  await (await stream).body!.getReader().read()
  await fetch(`${url}/api/v1/auth/revocations`, { method: 'POST', headers: { ...as('admin'), 'content-type': 'application/json' }, body: JSON.stringify({ key: 'stolen-key' }) })

  await expect.poll(() => core.calls.find(({ path }) => path === '/v1/chat')?.aborted, { timeout: 2_000 }).toBe(true)
})

test('a user key cannot take keys back', async ({ app }) => {
  expect((await app.inject(revoke({ key: keys.admin }, as('user')))).statusCode).toBe(403)
})

test.for([[{}], [{ key: 'a', key_sha256: '0'.repeat(64) }], [{ key_sha256: 'ABC' }], [{ key: '' }]])('%j is 400', async ([payload], { app }) => {
  expect((await app.inject(revoke(payload!))).statusCode).toBe(400)
})

describe('signed by the Core', () => {
  test.override({ settings: { MUXI_API_WEBHOOK_SECRET: secret } })

  test('a call needs no key', async ({ app, core }) => {
    core.keys.set('stolen-key', { scope: 'admin' })
    const res = await app.inject(signed({ key: 'stolen-key' }))

    expect([res.statusCode, (await app.inject({ url: '/api/v1/agents', headers: bearer('stolen-key') })).statusCode]).toEqual([200, 401])
  })

  test.for([
    ['by another secret', { key: `whsec_${Buffer.from('another').toString('base64')}` }],
    ['six minutes ago', { at: Date.now() - 360_000 }],
    ['in the future', { at: Date.now() + 360_000 }],
    ['for another body', { body: '{"key":"other"}' }]
  ] as const)('but not %s', async ([, how], { app }) => {
    const res = await app.inject(signed({ key: keys.user }, how))

    expect([res.statusCode, (await app.inject({ method: 'POST', url: '/api/v1/chat', headers: as('user'), payload: { content: 'Hi' } })).statusCode]).toEqual([401, 200])
  })

  test('opens nothing else', async ({ app }) => {
    const { headers } = signed({})

    expect((await app.inject({ url: '/api/v1/agents', headers })).statusCode).toBe(401)
  })
})

test('without a secret nothing that is signed is believed', async ({ app }) => {
  const res = await app.inject(signed({ key: keys.user }))

  expect([res.statusCode, res.json()]).toMatchObject([401, { error: { message: expect.stringContaining('MUXI_API_WEBHOOK_SECRET') as string } }])
})
