import { describe, expect } from 'vitest'
import { keys, test } from '../app.ts'

const page = { url: '/docs/mcp', headers: { host: 'localhost:8000' } }
const bearer = (name: string) => `Bearer \${${name}}`
const codeIn = (html: string) => [...html.matchAll(/<pre[^>]*><code[^>]*>([^]*?)<\/code>/g)].map(([, text]) => text!.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&'))

test('the page needs no key, holds none, and names the address that it was asked at', async ({ app }) => {
  const res = await app.inject(page)

  expect(res.statusCode).toBe(200)
  expect(res.headers['content-type']).toBe('text/html; charset=utf-8')
  expect(res.body).not.toMatch(new RegExp(`${keys.user}|${keys.admin}`))
  expect(codeIn(res.body).filter((text) => text.includes('http://localhost:8000/mcp')).length).toBeGreaterThanOrEqual(14)
  expect(res.body).toContain('It is no OAuth token')
})

test('what is JSON there is valid, and each host names the key its own way', async ({ app }) => {
  const settings = codeIn((await app.inject(page)).body).filter((text) => text.startsWith('{')).map((text) => JSON.parse(text) as Record<string, unknown>)

  expect(settings).toMatchObject([
    { mcpServers: { muxi: { type: 'http', headers: { Authorization: bearer('MUXI_API_KEY') } } } },
    { mcpServers: { muxi: { command: 'npx', args: ['-y', 'muxi-api', 'mcp', '--url', 'http://localhost:8000/mcp'] } } },
    { mcpServers: { muxi: { headers: { Authorization: bearer('env:MUXI_API_KEY') } } } },
    { inputs: [{ password: true }], servers: { muxi: { type: 'http', headers: { Authorization: bearer('input:muxi-key') } } } }
  ])
})

test('the link for Cursor holds the same settings', async ({ app }) => {
  const link = new URL(/href="(cursor:[^"]+)"/.exec((await app.inject(page)).body)![1]!.replaceAll('&amp;', '&'))

  expect(link.searchParams.get('name')).toBe('muxi')
  expect(JSON.parse(Buffer.from(link.searchParams.get('config')!, 'base64').toString())).toEqual({ url: 'http://localhost:8000/mcp', headers: { Authorization: bearer('env:MUXI_API_KEY') } })
})

test('a page of our own alone may run there: its script and style, and nothing from elsewhere', async ({ app }) => {
  const { headers, body } = await app.inject(page)

  expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/)
  expect(body).not.toMatch(/ (?:src|on[a-z]+|style)=|@import|url\(/)
})

describe('with a public address and an issuer', () => {
  test.override({ settings: { MUXI_API_PUBLIC_URL: 'https://api.example.com/muxi', MUXI_API_JWT_ISSUER: 'https://id.example.com', MUXI_API_JWT_AUDIENCE: 'muxi-api', MUXI_API_JWT_JWKS_URI: 'https://id.example.com/jwks.json' } })

  test('the page names that, and the way of OAuth', async ({ app }) => {
    const { body } = await app.inject(page)

    expect(codeIn(body)).toContain('https://api.example.com/muxi/mcp')
    expect(body).not.toContain('localhost:8000')
    expect(body).toContain('log in there')
  })
})

describe.each(['MUXI_API_DOCS', 'MUXI_API_MCP'])('with %s off', (name) => {
  test.override({ settings: { [name]: 'false' } })

  test('there is no page', async ({ app }) => {
    expect((await app.inject(page)).statusCode).toBe(404)
  })
})
