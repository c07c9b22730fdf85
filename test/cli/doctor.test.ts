import { createServer } from 'node:http'
import { resolve } from 'node:path'
import { describe, expect } from 'vitest'
import { keys } from '../app.ts'
import { listening } from '../core/client.ts'
import { allOk, slowly, statuses, test } from './doctor.ts'

describe('where all is well', () => {
  test('it says so of every part, to programs', async ({ serve, doctor }) => {
    await serve()
    const report = await doctor(slowly)

    expect({ ...report, checks: statuses(report) }).toMatchObject({ code: 0, stderr: '', ok: true, checks: allOk })
    expect(report.of('stream')!.fact).toMatch(/^the first event after \d+ ms, 20 pieces one by one until \d+ ms$/)
    expect(report.of('mcp')!.fact).toMatch(/^2026-07-28 and 2025-06-18; \d+ tools for this key$/)
    expect(report.stdout).not.toContain('sk_muxi')
  })

  test('and to people, a line each, without colour where there is no terminal', async ({ serve, run, env }) => {
    await serve()
    const { code, stdout, stderr } = await run(['doctor'], env).end()

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^ok {7}MUXI Core +http:\/\/127\.0\.0\.1:\d+, version \S+, answers in \d+ ms$/m)
    expect(stdout).not.toContain('\u001b')
    expect(stdout.trimEnd().split('\n')).toHaveLength(Object.keys(allOk).length)
  })

  test('without a chat where none is wanted', async ({ serve, doctor, core }) => {
    await serve()
    const report = await doctor(['--no-chat'])

    expect(report.of('stream')).toBeUndefined()
    expect(core.calls.filter(({ path }) => path === '/v1/chat')).toEqual([])
  })
})

describe('the settings', () => {
  test('that cannot be used are a failed line each, and no secret is shown', async ({ doctor }) => {
    const report = await doctor([], { MUXI_API_PORT: 'x', MUXI_CORE_ADMIN_KEY: 'a secret with blanks' })

    expect(report).toMatchObject({ code: 1, ok: false })
    expect(report.checks.map(({ id, status, fact }) => [id, status, fact])).toEqual([
      ['settings', 'failed', 'core.admin_key (MUXI_CORE_ADMIN_KEY) is "********": must look like "printable ASCII without blanks"'],
      ['settings', 'failed', 'api.port (MUXI_API_PORT) is "x": must be a whole number from 0 to 65535']
    ])
  })

  test('that let keys be read on the way are warnings', async ({ doctor }) => {
    const report = await doctor(['--host', '0.0.0.0'])
    const strict = await doctor(['--host', '0.0.0.0', '--require-https', 'true'])

    expect(report.of('listening')).toMatchObject({ status: 'warning', remedy: expect.stringContaining('api.require_https') })
    expect(report.of('public_url')).toMatchObject({ status: 'warning', remedy: expect.stringContaining('MUXI_API_PUBLIC_URL') })
    expect(strict.of('listening')).toMatchObject({ status: 'warning', remedy: expect.stringContaining('api.trust_proxy') })
  })

  test('a key that is unset is a warning that says what it takes away', async ({ doctor }) => {
    const report = await doctor([], { MUXI_CORE_ADMIN_KEY: '', MUXI_CORE_CLIENT_KEY: '' })

    expect(report.of('admin_key')).toMatchObject({ status: 'warning', fact: 'unset', remedy: expect.stringContaining('introspection') })
    expect(report.of('client_key')).toMatchObject({ status: 'warning', fact: 'unset', remedy: expect.stringContaining('501') })
  })

  test('a certificate of our own is trusted as it is, one that has ended has failed', async ({ serve, doctor }) => {
    const files = (name: string) => ({ MUXI_API_TLS_CERT: resolve(`test/fixtures/tls/${name}cert.pem`), MUXI_API_TLS_KEY: resolve(`test/fixtures/tls/${name}key.pem`) })
    await serve(files(''))
    const report = await doctor([], files(''))
    const ended = await doctor([], files('expired-'))
    const foreign = await doctor([], { ...files(''), MUXI_API_TLS_KEY: files('renewed-').MUXI_API_TLS_KEY })

    expect(statuses(report)).toMatchObject({ certificate: 'ok', tls: 'ok', forwarding: 'ok', mcp: 'ok' })
    expect(report.of('tls')!.fact).toMatch(/HTTP\/2$/)
    expect(ended.of('certificate')).toMatchObject({ status: 'failed', fact: expect.stringContaining('ended on') })
    expect(ended.of('server')).toBeUndefined()
    expect(foreign.of('certificate')).toMatchObject({ status: 'failed', fact: expect.stringContaining('is not the key of') })
  })
})

describe('the MUXI Core', () => {
  test('that is away has failed, and with it the readiness of the server', async ({ serve, doctor, core }) => {
    await core.down()
    await serve({}, 'the MUXI Core does not serve')
    const report = await doctor()

    expect(report).toMatchObject({ code: 1, ok: false })
    expect(report.of('core')).toMatchObject({ status: 'failed', fact: expect.stringContaining('the MUXI Core cannot be reached (ECONNREFUSED)'), remedy: expect.stringContaining('MUXI_CORE_URI') })
    expect(report.of('ready')).toMatchObject({ status: 'failed', fact: expect.stringContaining('not_ready: core: ') })
    expect(report.of('server')).toMatchObject({ status: 'ok' })
  })

  test('that refuses a key, or takes it for another level, is told without the key', async ({ doctor }) => {
    const swapped = await doctor([], { MUXI_CORE_ADMIN_KEY: keys.user, MUXI_CORE_CLIENT_KEY: keys.admin })
    const unknown = await doctor([], { MUXI_CORE_CLIENT_KEY: 'sk_muxi_user_unknown' })

    expect(swapped.of('admin_key')).toMatchObject({ status: 'failed', fact: 'the Core takes it with level user', remedy: expect.stringContaining('swapped') })
    expect(swapped.of('client_key')).toMatchObject({ status: 'failed', fact: 'the Core takes it with level admin' })
    expect(unknown.of('client_key')).toMatchObject({ status: 'failed', fact: 'the Core refuses it' })
    expect(unknown.of('admin_key')).toMatchObject({ status: 'ok' })
    expect(swapped.stdout + unknown.stdout).not.toContain('sk_muxi')
  })

  test('whose clock is off is a warning', async ({ doctor, proxy, core }) => {
    const late = await proxy({ answers: { date: new Date(Date.now() - 60_000).toUTCString() } }, core.url)
    const report = await doctor([], { MUXI_CORE_URI: late })

    expect(report.of('clock')).toMatchObject({ status: 'warning', fact: expect.stringMatching(/^the Core is (?:5\d|6\d)\.\d s behind this machine$/) })
  })

  test('that says nothing is waited for no longer than 5 s, and all of several are looked at', async ({ doctor, core }) => {
    const mute = createServer(() => {})
    const url = await listening(mute)
    const began = performance.now()
    const report = await doctor([], { MUXI_CORE_URI: url, MUXI_CORE_FALLBACK_URIS: core.url })
    mute.closeAllConnections()
    mute.close()

    expect(performance.now() - began).toBeLessThan(15_000)
    expect(report.checks.filter(({ id }) => id === 'core').map(({ what, status }) => [what, status])).toEqual([['MUXI Core primary', 'failed'], ['MUXI Core fallback_1', 'ok']])
  })
})

describe('wrong use', () => {
  test.for([[['--url', 'api.example.com'], '--url must be an address such as https://api.example.com'], [['--ca', '/nonexistent'], '--ca /nonexistent cannot be read (ENOENT)']] as const)('%j is exit code 2', async ([args, line], { run }) => {
    const { code, stdout, stderr } = await run(['doctor', ...args]).end()

    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toBe(`muxi-api: ${line}\ntry muxi-api --help\n`)
  })
})
