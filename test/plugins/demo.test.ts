import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect } from 'vitest'
import { keys, test } from '../app.ts'

const page = { url: '/docs/webrtc', headers: { host: 'localhost:8000' } }
const inside = (html: string, tag: string) => new RegExp(`<${tag}[^>]*>([^]*?)</${tag}>`).exec(html)![1]!
const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

test('the demo needs no key, and holds none', async ({ app }) => {
  const res = await app.inject(page)

  expect(res.statusCode).toBe(200)
  expect(res.headers['content-type']).toBe('text/html; charset=utf-8')
  expect(res.body).not.toMatch(new RegExp(`${keys.user}|${keys.admin}`))
})

test('the demo is the example with its client inside, and loads nothing', async ({ app }) => {
  const { body } = await app.inject(page)
  const client = readFileSync(new URL('../../examples/webrtc/muxi-rtc.js', import.meta.url), 'utf8')

  expect(inside(body, 'script')).toContain(client.slice(client.indexOf('export class MuxiRoom') + 'export '.length, -1).replaceAll(/^export /gm, ''))
  expect(inside(body, 'script')).not.toMatch(/^(?:import|export) /m)
  expect(body.replace(inside(body, 'script'), '')).not.toMatch(/ (?:src|on[a-z]+|style)=|@import|url\(/)
})

test('only what the demo came with may run there, and it may speak to this server alone', async ({ app }) => {
  const { headers, body } = await app.inject(page)

  expect(headers['content-security-policy']).toBe([
    "default-src 'none'", `script-src ${hashOf(inside(body, 'script'))}`, `style-src ${hashOf(inside(body, 'style'))}`, "connect-src 'self' ws://localhost:8000", 'img-src data:',
    "media-src 'self' blob:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"
  ].join('; '))
})

test('the demo alone may use camera, microphone and screen', async ({ app }) => {
  expect((await app.inject(page)).headers['permissions-policy']).toBe('camera=(self), microphone=(self), display-capture=(self)')
})

describe('with a public address', () => {
  test.override({ settings: { MUXI_API_PUBLIC_URL: 'https://api.example.com/muxi' } })

  test('the socket of that may be opened', async ({ app }) => {
    expect((await app.inject(page)).headers['content-security-policy']).toContain("connect-src 'self' wss://api.example.com;")
  })
})

describe.each(['MUXI_API_DOCS', 'MUXI_API_RTC'])('with %s off', (name) => {
  test.override({ settings: { [name]: 'false' } })

  test('there is no demo', async ({ app }) => {
    expect((await app.inject(page)).statusCode).toBe(404)
  })
})
