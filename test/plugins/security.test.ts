import { describe, expect } from 'vitest'
import { as, test } from '../app.ts'

test('every answer, also a refusal, a stream and the 404, carries the security headers', async ({ app }) => {
  const answers = [
    await app.inject('/health'),
    await app.inject('/api/v1/agents'),
    await app.inject('/nowhere'),
    await app.inject({ method: 'POST', url: '/api/v1/chat/stream', headers: as('user'), payload: { content: 'hello' } })
  ]

  for (const { headers } of answers) {
    expect(headers).toMatchObject({
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'", 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer'
    })
    expect(headers).not.toHaveProperty('server')
    expect(headers).not.toHaveProperty('x-powered-by')
    expect(headers).not.toHaveProperty('strict-transport-security')
  }
  expect(answers[1]!.headers['cache-control']).toBe('no-store')
})

test('without listed origins no page may read an answer', async ({ app }) => {
  const res = await app.inject({ url: '/health', headers: { origin: 'https://app.example.com' } })

  expect(res.headers).not.toHaveProperty('access-control-allow-origin')
})

test('a forged X-Forwarded-Proto changes nothing without a trusted proxy', async ({ app }) => {
  const res = await app.inject({ url: '/health', headers: { 'x-forwarded-proto': 'https', 'x-forwarded-for': '1.2.3.4' } })

  expect(res.headers).not.toHaveProperty('strict-transport-security')
})

describe('with listed origins and a trusted proxy', () => {
  test.override({ settings: { MUXI_API_CORS_ORIGINS: 'https://app.example.com, http://localhost:*', MUXI_API_TRUST_PROXY: '127.0.0.0/8' } })

  test('listed origins may, others not; the preflight says for how long', async ({ app }) => {
    const allowed = await app.inject({ method: 'OPTIONS', url: '/api/v1/chat', headers: { origin: 'https://app.example.com', 'access-control-request-method': 'POST' } })
    const local = await app.inject({ url: '/health', headers: { origin: 'http://localhost:5173' } })
    const foreign = await app.inject({ method: 'OPTIONS', url: '/api/v1/chat', headers: { origin: 'https://app.example.com.evil.example', 'access-control-request-method': 'POST' } })

    expect(allowed.statusCode).toBe(204)
    expect(allowed.headers).toMatchObject({ 'access-control-allow-origin': 'https://app.example.com', 'access-control-max-age': '600', 'access-control-allow-headers': expect.stringContaining('Idempotency-Key') })
    expect(allowed.headers).not.toHaveProperty('access-control-allow-credentials')
    expect(local.headers).toMatchObject({ 'access-control-allow-origin': 'http://localhost:5173', 'cross-origin-resource-policy': 'cross-origin' })
    expect(foreign.headers).not.toHaveProperty('access-control-allow-origin')
  })

  test('a page may read every header that the documents name', async ({ app }) => {
    const { headers } = await app.inject({ url: '/api/v1/agents', headers: { ...as('admin'), origin: 'https://app.example.com' } })
    const exposed = String(headers['access-control-expose-headers']).split(', ')

    expect(exposed).toEqual(expect.arrayContaining(['X-Request-Id', 'ETag', 'Idempotent-Replayed', 'X-RateLimit-Warning', 'X-Auth-Stale', 'Mcp-Session-Id']))
  })

  test('a trusted proxy\'s word that the request came over TLS counts', async ({ app }) => {
    const res = await app.inject({ url: '/health', headers: { 'x-forwarded-proto': 'https' }, remoteAddress: '127.0.0.1' })
    const stranger = await app.inject({ url: '/health', headers: { 'x-forwarded-proto': 'https' }, remoteAddress: '10.0.0.1' })

    expect(res.headers['strict-transport-security']).toBe('max-age=31536000; includeSubDomains')
    expect(stranger.headers).not.toHaveProperty('strict-transport-security')
  })
})
