import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, resolve as absolute } from 'node:path'
import { expect, test as base } from 'vitest'
import { buildApp } from '../app.ts'
import { loadConfig, type Origins } from '../config.ts'
import { startEmbeddedCore, type EmbeddedCore } from '../core/embedded/index.ts'
import { as, keys, Lines } from './app.ts'
import { folder } from './fixtures/folder.ts'

const tls = { cert: readFileSync('test/fixtures/tls/cert.pem'), key: readFileSync('test/fixtures/tls/key.pem') }
const portOf = (url: string) => new URL(url).port

/** TLS in front of a Core. */
async function behindTls (core: EmbeddedCore): Promise<{ server: Server, port: number }> {
  const server = createServer(tls, (req, res) => {
    const onward = request({ port: portOf(core.url), method: req.method, path: req.url, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(res)
    })
    onward.on('error', () => res.destroy())
    req.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, port: (server.address() as AddressInfo).port }
}

const places = ['flag', 'environment', '.env', 'yaml', 'json'] as const
const own = { MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_CORE_CLIENT_KEY: keys.user, MUXI_CORE_TLS_CA: absolute('test/fixtures/tls/cert.pem') }

/** What loadConfig finds when the address stands in one place. */
function origins (place: typeof places[number], uri: string, cwd: string): Origins {
  if (place === '.env') writeFileSync(join(cwd, '.env'), `MUXI_CORE_URI=${uri}\n`)
  if (place === 'yaml') writeFileSync(join(cwd, 'muxi-api.yaml'), `core:\n  uri: "${uri}"\n`)
  if (place === 'json') writeFileSync(join(cwd, 'muxi-api.json'), JSON.stringify({ core: { uri } }))
  return { cwd, env: { ...own, ...(place === 'environment' && { MUXI_CORE_URI: uri }) }, flags: place === 'flag' ? { 'core-uri': uri } : {} }
}

const test = base.extend<{ cwd: string }>({
  cwd: folder
})

const forms = {
  'without a scheme': { options: {}, uri: (core: EmbeddedCore) => `localhost:${portOf(core.url)}` },
  'with a path prefix': { options: { prefix: '/api/my-formation' }, uri: (core: EmbeddedCore) => core.url },
  'with an IPv6 address': { options: { host: '::1' }, uri: (core: EmbeddedCore) => `[::1]:${portOf(core.url)}` },
  'with https': { options: {}, uri: async (core: EmbeddedCore) => await behindTls(core) }
}

test.for(Object.keys(forms).flatMap((form) => places.map((place) => [form, place] as const)))('a Core %s, named by %s, passes the check and serves keys, chat and tools', async ([form, place], { cwd }) => {
  const { options, uri } = forms[form as keyof typeof forms]
  const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin, ...options })
  const address = await uri(core)
  const { config, sources } = loadConfig(origins(place, typeof address === 'string' ? address : `https://localhost:${address.port}`, cwd))
  const app = await buildApp(config, new Lines())
  try {
    expect(sources['core.uri']).toBe({ yaml: 'file', json: 'file' }[place as 'yaml'] ?? place)
    expect(await app.core.check()).toBe(true)
    const refused = await app.inject({ url: '/api/v1/agents', headers: { authorization: 'Bearer wrong' } })
    const chat = await app.inject({ method: 'POST', url: '/api/v1/chat', headers: as('user'), payload: { content: 'What is 6 times 7?' } })
    const tool = await app.inject({
      method: 'POST', url: '/mcp', headers: { ...as('admin'), host: 'localhost', accept: 'application/json, text/event-stream' }, payload: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'agent_get', arguments: { agent_id: 'analyst' } } }
    })

    expect(refused.statusCode).toBe(401)
    expect(chat.json()).toMatchObject({ agent_response: { content: '6 * 7 = 42.' } })
    expect(tool.body).toContain('"id":"analyst"')
  } finally {
    await app.close()
    await core.close()
    if (typeof address !== 'string') await new Promise((resolve) => address.server.close(resolve))
  }
})

test('without a setting the Core is at localhost:3000', ({ cwd }) => {
  expect(loadConfig({ cwd, env: {} }).config.core.uri).toBe('http://localhost:3000')
})

test('a certificate that nobody known has signed keeps the server unready, and says so', async () => {
  const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
  const { server, port } = await behindTls(core)
  const app = await buildApp(loadConfig({ cwd: '/nonexistent', env: { MUXI_CORE_URI: `https://localhost:${port}` } }).config, new Lines())

  expect(await app.core.check()).toBe(false)
  expect(app.core.reason).toBe('the certificate of the MUXI Core is not signed by anyone the system trusts: set MUXI_CORE_TLS_CA')
  await app.close()
  await core.close()
  server.close()
})
