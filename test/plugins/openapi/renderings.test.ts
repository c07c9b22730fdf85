import { tmpdir } from 'node:os'
import { expect } from 'vitest'
import { test } from '../../app.ts'
import { documentsWith, operationsIn } from './document.ts'

test.for([['/openapi.json', '3.1.0'], ['/openapi-3.2.json', '3.2.0']] as const)('%s is an OpenAPI document of version %s, for everybody', async ([url, version], { app }) => {
  const res = await app.inject(url)
  const again = await app.inject({ url, headers: { 'if-none-match': String(res.headers.etag) } })

  expect([res.statusCode, res.headers['content-type'], res.json<{ openapi: string }>().openapi]).toEqual([200, 'application/json; charset=utf-8', version])
  expect([again.statusCode, again.body]).toEqual([304, ''])
})

test.for(['/openapi.json', '/openapi-3.2.json'])('a call of %s that is refused is no document, and the document no refusal', async (url, { app }) => {
  const refused = async () => (await app.inject(`${url}?version=4`)).json<{ error: { code: string, request_id: string } }>().error
  const first = await refused()
  const document = (await app.inject(url)).json<object>()
  const second = await refused()

  expect([first.code, second.code]).toEqual(['bad_request', 'bad_request'])
  expect(second.request_id).not.toBe(first.request_id)
  expect(Object.keys(document).slice(0, 2)).toEqual(['openapi', 'info'])
})

test('both documents have the same operations with the same answers', async () => {
  const { openapi, openapiNext } = await documentsWith()
  const facts = (document: typeof openapi) => [...operationsIn(document)].map(([id, { responses }]) => [id, Object.keys(responses)])

  expect(facts(openapiNext)).toEqual(facts(openapi))
  expect(JSON.stringify(openapi)).not.toMatch(/"(?:itemSchema|dataValue|serializedValue)":/)
})

test('the documents are the same to the byte, whatever the settings and the surroundings of the server', async () => {
  const [zone, folder] = [process.env.TZ, process.cwd()]
  const plain = await documentsWith()
  process.env.TZ = 'Pacific/Auckland'
  const other = await documentsWith({
    TZ: 'Pacific/Auckland',
    LANG: 'tr_TR.UTF-8',
    MUXI_API_PORT: '9999',
    MUXI_API_HOST: '0.0.0.0',
    MUXI_API_DOCS: 'false',
    MUXI_API_MCP_COMMANDS: 'false',
    MUXI_API_RATE_LIMIT: '7',
    MUXI_API_MAX_BODY: '4096',
    MUXI_API_CORS_ORIGINS: 'https://app.example.com',
    MUXI_API_LOG_LEVEL: 'silent',
    MUXI_CORE_TIMEOUT_MS: '500',
    MUXI_CORE_URI: 'http://core.example.com:7890/api/other'
  })
  if (zone === undefined) delete process.env.TZ
  else process.env.TZ = zone

  expect([folder, tmpdir()].filter((path) => JSON.stringify(plain).includes(path))).toEqual([])
  for (const name of ['openapi', 'openapiNext'] as const) expect(JSON.stringify(other[name], undefined, 2) === JSON.stringify(plain[name], undefined, 2), name).toBe(true)
})

test('the public URL is the one setting that the documents tell', async () => {
  const { openapi } = await documentsWith()
  const { openapi: named } = await documentsWith({ MUXI_API_PUBLIC_URL: 'https://api.example.com' })

  expect(named).toEqual({ ...openapi, servers: [{ url: 'https://api.example.com', description: 'This server' }] })
})
