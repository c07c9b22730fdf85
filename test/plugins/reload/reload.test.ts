import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { describe, expect, vi } from 'vitest'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../../../config.ts'
import { as, configFor, keys, test as base } from '../../app.ts'

vi.setConfig({ testTimeout: 30_000 })

interface Paths { cert: string, key: string }
/** Gives the server these settings on top of those of the test, by a reload. */
type Reload = (settings?: Record<string, string>) => ReturnType<FastifyInstance['reload']['now']>
const test = base.extend<{ reload: Reload }>({
  reload: async ({ app, core, settings }, use) => {
    let candidate: () => Readonly<Config> = () => app.config
    app.reload.follow({ load: () => candidate(), files: () => [] })
    await use((changed = {}) => {
      candidate = () => configFor(core, { ...settings, ...changed })
      return app.reload.now()
    })
  }
})
const metric = async (app: FastifyInstance, name: string) => new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\S+)$`, 'm').exec(await app.metrics.registry.metrics())?.[1]

describe('what a reload changes', () => {
  test('limits hold for the next call', async ({ app, reload }) => {
    const max = async () => (await app.inject({ url: '/api/v1/agents', headers: as('admin') })).headers['x-ratelimit-limit']
    const before = await max()
    const result = reload({ MUXI_API_RATE_LIMIT: '7' })

    expect([before, result, await max()]).toEqual(['6000', 'applied', '70'])
  })

  test('origins of pages come and go', async ({ app, reload }) => {
    const allowed = async () => (await app.inject({ url: '/health', headers: { origin: 'https://a.example' } })).headers['access-control-allow-origin']
    const before = await allowed()
    reload({ MUXI_API_CORS_ORIGINS: 'https://a.example' })
    const during = await allowed()
    const preflight = await app.inject({ method: 'OPTIONS', url: '/api/v1/chat', headers: { origin: 'https://a.example', 'access-control-request-method': 'POST' } })
    reload()

    expect([before, during, await allowed()]).toEqual([undefined, 'https://a.example', undefined])
    expect(preflight.statusCode).toBe(204)
  })

  test('the level of the log does, and either change of it is told', async ({ app, lines, reload }) => {
    reload({ MUXI_API_LOG_LEVEL: 'error' })
    await app.inject('/health')
    reload({ MUXI_API_LOG_LEVEL: 'debug' })

    expect(lines.all.filter(({ message }) => message === 'setting changed').map(({ setting, from, to }) => [setting, from, to])).toEqual([['api.log_level', 'info', 'error'], ['api.log_level', 'error', 'debug']])
    expect(lines.all.filter(({ message }) => message === 'request')).toEqual([])
    expect(app.log.level).toBe('debug')
  })

  test('addresses for admin operations, and https, hold at once', async ({ app, reload }) => {
    const status = async () => (await app.inject({ url: '/api/v1/agents', headers: as('admin'), remoteAddress: '203.0.113.7' })).statusCode
    reload({ MUXI_API_ADMIN_FROM: '10.0.0.0/8' })
    const outside = await status()
    reload({ MUXI_API_ADMIN_FROM: '10.0.0.0/8, 203.0.113.7' })
    const inside = await status()
    reload({ MUXI_API_REQUIRE_HTTPS: 'true' })

    expect([outside, inside, await status()]).toEqual([403, 200, 403])
  })

  test('how long a verdict on a key is believed, from the next verdict on', async ({ app, core, reload }) => {
    reload({ MUXI_API_KEY_CACHE_MS: '0' })
    const asked = () => core.calls.filter(({ path }) => path === '/v1/auth/introspect').length
    await app.inject({ url: '/api/v1/agents', headers: as('admin') })
    const once = asked()
    await vi.waitFor(async () => {
      await app.inject({ url: '/api/v1/agents', headers: as('admin') })

      expect(asked()).toBeGreaterThan(once)
    })
  })

  test('the keys and time-outs towards the Core', async ({ app, core, reload }) => {
    const other = 'sk_muxi_user_replaced0000000000000000'
    core.keys.set(other, { scope: 'user' })
    reload({ MUXI_CORE_CLIENT_KEY: other, MUXI_CORE_IDLE_TIMEOUT_MS: '1000' })
    const chat = async (content: string) => await app.inject({ method: 'POST', url: '/api/v1/chat', headers: as('admin'), payload: { content } })
    core.fail({ silent: true })
    const silent = await chat('hello')

    expect(app.settings.core.client_key).toBe(other)
    expect(silent.json()).toMatchObject({ error: { code: 'core_timeout' } })
  })
})

test('what needs a restart is named and keeps its value; secrets are masked', async ({ app, lines, reload }) => {
  const result = reload({ MUXI_API_MAX_BODY: '2048', MUXI_CORE_ADMIN_KEY: 'sk_muxi_admin_hidden', MUXI_API_SECRET: 'x'.repeat(32) })

  expect(result).toBe('applied')
  expect(app.config.api.max_body).toBe(1_048_576)
  expect(lines.all).toContainEqual(expect.objectContaining({ level: 'warn', setting: 'api.max_body', from: '1048576', to: '2048', message: 'setting needs a restart: the old value stays in force' }))
  expect(lines.all).toContainEqual(expect.objectContaining({ level: 'warn', setting: 'api.secret', from: '', to: '********' }))
  expect(lines.all).toContainEqual(expect.objectContaining({ level: 'info', setting: 'core.admin_key', from: '********', to: '********', message: 'setting changed' }))
  expect(JSON.stringify(lines.all)).not.toMatch(/hidden|xxxx/)
})

test('settings that are not valid change nothing, and every fault is told', async ({ app, lines, reload }) => {
  const old = app.config
  const result = reload({ MUXI_API_RATE_LIMIT: 'many', MUXI_API_LOG_LEVEL: 'loud' })

  expect([result, app.config]).toEqual(['rejected', old])
  expect(lines.all).toContainEqual(expect.objectContaining({
    level: 'error', message: 'the changed settings are not valid: the old ones stay in force', faults: [expect.stringContaining('api.rate_limit'), expect.stringContaining('api.log_level')].reverse()
  }))
})

test('the metrics count what came of each, and when it last went well', async ({ app, reload }) => {
  reload({ MUXI_API_RATE_LIMIT: '7' })
  reload({ MUXI_API_RATE_LIMIT: '7' })
  const good = await metric(app, 'muxi_api_config_last_reload_success_timestamp_seconds')
  reload({ MUXI_API_RATE_LIMIT: 'many' })
  const counts = await Promise.all(['applied', 'unchanged', 'rejected'].map(async (result) => await metric(app, `muxi_api_config_reloads_total{result="${result}"}`)))

  expect(counts).toEqual(['1', '1', '1'])
  expect(Math.abs(Number(good) - Date.now() / 1_000)).toBeLessThan(20)
  expect(await metric(app, 'muxi_api_config_last_reload_success_timestamp_seconds')).toBe(good)
  expect(await metric(app, 'muxi_api_tls_certificate_expiry_timestamp_seconds')).toBeUndefined()
})

test('a snapshot that somebody holds stays as it was', async ({ app, reload }) => {
  const held = app.config
  reload({ MUXI_API_RATE_LIMIT: '7' })

  expect([held.api.rate_limit, app.config.api.rate_limit]).toEqual([600, 7])
  expect([app.config, app.config.api].every((value) => Object.isFrozen(value))).toBe(true)
})

describe('a renewed certificate', () => {
  const put = ({ cert, key }: Paths, name = '') => {
    copyFileSync(`test/fixtures/tls/${name}cert.pem`, cert)
    copyFileSync(`test/fixtures/tls/${name}key.pem`, key)
  }
  const serialOf = async (url: string, version?: 'TLSv1.2') => {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port), rejectUnauthorized: false, maxVersion: version })
    await once(socket, 'secureConnect')
    const { serialNumber } = socket.getPeerCertificate()
    socket.destroy()
    return serialNumber
  }
  const overAgent = async (url: string, agent: Agent) => {
    const [res] = await once(request(`${url}/api/v1/agents`, { agent, headers: { 'x-api-key': keys.admin } }).end(), 'response') as [IncomingMessage]
    // The agent takes it back with the last byte.
    const socket = res.socket as TLSSocket
    res.resume()
    await once(res, 'end')
    return { status: res.statusCode, port: socket.localPort }
  }
  const tls = test.extend<{ paths: Paths, settings: Record<string, string> }>({
    paths: async ({}, use) => {
      const folder = mkdtempSync(join(tmpdir(), 'tls-'))
      const paths = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
      put(paths)
      await use(paths)
      rmSync(folder, { recursive: true })
    },
    settings: async ({ paths: { cert, key } }, use) => { await use({ MUXI_API_TLS_CERT: cert, MUXI_API_TLS_KEY: key }) }
  })

  tls('is taken up for new connections, and one that is open goes on', async ({ app, url, lines, paths }) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false })
    const before = await overAgent(url, agent)
    put(paths, 'renewed-')
    await expect.poll(async () => await serialOf(url), { timeout: 15_000 }).toBe('02')
    const after = await overAgent(url, agent)
    agent.destroy()

    expect([before.status, after]).toEqual([200, before])
    expect(lines.all).toContainEqual(expect.objectContaining({ message: 'the renewed certificate is in force', ends: '2125-12-31T23:59:59.000Z' }))
    expect(await metric(app, 'muxi_api_tls_certificate_expiry_timestamp_seconds')).toBe(String(Date.parse('2125-12-31T23:59:59Z') / 1_000))
    await expect(serialOf(url, 'TLSv1.2')).rejects.toThrow()
  })

  tls('that cannot serve, or has ended, leaves the old one in force and is told', async ({ url, lines, paths }) => {
    const before = await serialOf(url)
    const told = async (message: string, reason: RegExp) => {
      await expect.poll(() => lines.all, { timeout: 15_000 }).toContainEqual(expect.objectContaining({ message, reason: expect.stringMatching(reason) }))
    }
    copyFileSync('test/fixtures/tls/renewed-cert.pem', paths.cert)
    await told('the renewed certificate cannot be used: the old one stays in force', /is not the key of/)
    writeFileSync(paths.cert, readFileSync('test/fixtures/tls/cert.pem').subarray(0, 200))
    await told('the renewed certificate cannot be used: the old one stays in force', /cannot be used/)
    put(paths, 'expired-')
    await told('the renewed certificate does not hold now: the old one stays in force', /ended at 2020/)

    expect(await serialOf(url)).toBe(before)
  })
})

describe('a certificate that has ended', () => {
  test.override({ settings: { MUXI_API_TLS_CERT: 'test/fixtures/tls/expired-cert.pem', MUXI_API_TLS_KEY: 'test/fixtures/tls/expired-key.pem', MUXI_API_TLS_MIN_VERSION: '1.2' } })

  test('is told at the start; api.tls_min_version lets older clients in', async ({ url, lines }) => {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port), rejectUnauthorized: false, maxVersion: 'TLSv1.2' })
    await once(socket, 'secureConnect')
    const protocol = socket.getProtocol()
    socket.destroy()

    expect(protocol).toBe('TLSv1.2')
    expect(lines.all).toContainEqual(expect.objectContaining({ level: 'warn', message: 'the certificate has ended: clients refuse it', ends: '2020-01-01T00:00:00.000Z' }))
  })
})
