import { describe, expect } from 'vitest'
import { as, test } from '../app.ts'

const paths = ['/.well-known/oauth-protected-resource', '/.well-known/oauth-protected-resource/mcp']
const issuer = { MUXI_API_JWT_ISSUER: 'https://id.example.com', MUXI_API_JWT_AUDIENCE: 'muxi-api', MUXI_API_JWT_JWKS_URI: 'https://id.example.com/jwks.json' }
const list = { method: 'POST' as const, url: '/mcp', headers: { host: 'localhost:8000' }, payload: { jsonrpc: '2.0', id: 1, method: 'tools/list' } }

describe('without an issuer', () => {
  test('there is no metadata, and why is said in the one format', async ({ app }) => {
    const answers = await Promise.all(paths.map(async (url) => await app.inject(url)))

    expect(answers.map((res) => [res.statusCode, res.json()])).toMatchObject(paths.map(() => [404, { error: { code: 'not_found', message: expect.stringContaining('no issuer is configured here') } }]))
  })

  test('a refusal at /mcp does not send anyone to log in', async ({ app }) => {
    expect((await app.inject(list)).headers['www-authenticate']).toBe('Bearer realm="muxi"')
  })
})

describe('with an issuer', () => {
  test.override({ settings: issuer })

  test('both addresses say the same, without a key', async ({ app }) => {
    const [root, mcp] = await Promise.all(paths.map(async (url) => await app.inject({ url, headers: { host: 'localhost:8000' } })))

    expect(root!.statusCode).toBe(200)
    expect(root!.json()).toEqual({
      resource: 'http://localhost:8000/mcp',
      authorization_servers: ['https://id.example.com'],
      bearer_methods_supported: ['header'],
      scopes_supported: ['user', 'admin'],
      resource_name: 'MUXI API',
      resource_documentation: 'http://localhost:8000/docs/mcp'
    })
    expect(mcp!.json()).toEqual(root!.json())
  })

  test('who is refused at /mcp is told where to look; elsewhere, and where the key is good, nobody is', async ({ app }) => {
    const answers = [await app.inject(list), await app.inject({ ...list, headers: { ...list.headers, authorization: 'Bearer wrong' } }), await app.inject('/api/v1/agents'), await app.inject({ ...list, headers: { ...list.headers, ...as('user'), accept: 'application/json, text/event-stream' } })]
    const lead = 'Bearer realm="muxi", resource_metadata="http://localhost:8000/.well-known/oauth-protected-resource/mcp"'

    expect(answers.map(({ statusCode, headers }) => [statusCode, headers['www-authenticate']])).toEqual([[401, lead], [401, lead], [401, 'Bearer realm="muxi"'], [200, undefined]])
  })

  test('a Host that is none does not get into the answer', async ({ app }) => {
    const res = await app.inject({ url: paths[0]!, headers: { host: 'a"b<c>' } })

    expect(res.json()).toMatchObject({ resource: 'http://localhost:0/mcp' })
  })
})

describe('with an issuer and a public address', () => {
  test.override({ settings: { ...issuer, MUXI_API_PUBLIC_URL: 'https://api.example.com/muxi/', MUXI_API_DOCS: 'false' } })

  test('that address counts, with its path, whatever Host is sent', async ({ app }) => {
    const res = await app.inject({ url: paths[1]!, headers: { host: 'evil.example' } })
    const refused = await app.inject({ ...list, headers: { host: 'api.example.com' } })

    expect(res.json()).toMatchObject({ resource: 'https://api.example.com/muxi/mcp' })
    expect(res.json()).not.toHaveProperty('resource_documentation')
    expect(refused.headers['www-authenticate']).toContain('resource_metadata="https://api.example.com/muxi/.well-known/oauth-protected-resource/mcp"')
  })
})

describe('with an issuer that is no address', () => {
  test.override({ settings: { ...issuer, MUXI_API_JWT_ISSUER: 'my-issuer' } })

  test('there is no metadata: nobody could be sent there', async ({ app }) => {
    expect((await app.inject(paths[0]!)).statusCode).toBe(404)
  })
})
