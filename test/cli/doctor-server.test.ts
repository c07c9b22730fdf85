import { createServer, type IncomingHttpHeaders } from 'node:http'
import { describe, expect } from 'vitest'
import { listening } from '../core/client.ts'
import { allOk, slowly, statuses, test } from './doctor.ts'

describe('the running server', () => {
  test('that does not run has failed', async ({ doctor, port }) => {
    const report = await doctor()

    expect(report).toMatchObject({ code: 1, ok: false })
    expect(report.of('server')).toMatchObject({ status: 'failed', fact: `nothing answers at http://127.0.0.1:${port} (ECONNREFUSED)`, remedy: expect.stringContaining('--url') })
    expect(report.of('stream')).toBeUndefined()
  })

  test('that sends on to elsewhere gets no key', async ({ doctor }) => {
    const seen: IncomingHttpHeaders[] = []
    const elsewhere = createServer(({ headers }, response) => {
      seen.push(headers)
      response.writeHead(301, { location: 'https://elsewhere.example/' }).end()
    })
    const url = await listening(elsewhere)
    const report = await doctor(['--url', url])
    elsewhere.close()

    expect(report.of('server')).toMatchObject({ status: 'failed', fact: `${url} sends on to https://elsewhere.example/` })
    expect(seen).toHaveLength(1)
    expect(seen[0]).not.toHaveProperty('authorization')
  })

  test('takes the key of a user from the environment, and a refused one is told without it', async ({ serve, doctor }) => {
    await serve()
    const report = await doctor([], { MUXI_API_DOCTOR_KEY: 'sk_muxi_user_wrong' })

    expect(report).toMatchObject({ code: 1 })
    expect(report.of('stream')).toMatchObject({ status: 'failed', fact: expect.stringMatching(/^401 /), remedy: expect.stringContaining('MUXI_API_DOCTOR_KEY') })
    expect(report.stdout).not.toContain('sk_muxi_user_wrong')
  })

  test('that repeats a key in its answers does not get it shown', async ({ doctor }) => {
    const parrot = createServer(({ url, headers: { authorization } }, response) => {
      response.end(JSON.stringify(url === '/health' ? { status: 'ok' } : { error: { code: 'odd', message: `I got ${authorization}`, request_id: 'r' } }))
    })
    const url = await listening(parrot)
    const report = await doctor(['--url', url])
    parrot.close()

    expect(report.of('mcp')).toMatchObject({ status: 'failed', fact: expect.stringContaining('I got Bearer ********') })
    expect(report.stdout).not.toContain('sk_muxi')
  })
})

describe('a proxy', () => {
  test('that passes everything on is found to, and its address is told', async ({ serve, doctor, proxy }) => {
    await serve({ MUXI_API_TRUST_PROXY: '127.0.0.1' })
    const url = await proxy({ sends: ({ host }) => ({ 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http', 'x-forwarded-host': host! }) })
    const report = await doctor(['--url', url, ...slowly])

    expect(statuses(report)).toEqual(allOk)
    expect(report.of('forwarding')!.fact).toMatch(/, through the proxy at 127\.0\.0\.1$/)
  })

  test('that buffers event streams is found out by when the pieces come', async ({ serve, doctor, proxy }) => {
    await serve()
    const url = await proxy({ buffers: true })
    const report = await doctor(['--url', url, ...slowly])
    const endless = await doctor(['--url', url, '--say', '[fake: tokens=20 delay_ms=500]'])

    expect(report.checks.filter(({ status }) => status === 'failed')).toEqual([])
    expect(report).toMatchObject({ code: 0, ok: true })
    expect(endless.of('stream')).toMatchObject({ status: 'warning', fact: expect.stringMatching(/^no event within 5 s: the proxy buffers/) })
    expect(report.of('stream')).toMatchObject({ status: 'warning', fact: expect.stringMatching(/20 pieces with it: the proxy buffers event streams$/), remedy: expect.stringContaining('proxy_buffering off') })
  })

  test('whom the server does not trust is named for api.trust_proxy', async ({ serve, doctor, proxy }) => {
    await serve()
    const report = await doctor(['--url', await proxy({ sends: () => ({ 'x-forwarded-for': '203.0.113.7' }) })])

    expect(report.of('forwarding')).toMatchObject({ status: 'warning', remedy: 'set api.trust_proxy (MUXI_API_TRUST_PROXY) to 127.0.0.1' })
  })

  test('that tells another protocol or name is found out', async ({ serve, doctor, proxy }) => {
    await serve({ MUXI_API_TRUST_PROXY: '127.0.0.1' })
    const [protocol, name] = await Promise.all([['x-forwarded-proto', 'https'], ['x-forwarded-host', '127.0.0.1:9']].map(async ([header, value]) =>
      await doctor(['--no-chat', '--url', await proxy({ sends: () => ({ 'x-forwarded-for': '127.0.0.1', [header!]: value! }) })])))

    expect(protocol!.of('forwarding')).toMatchObject({ status: 'warning', fact: 'the call came by http, the server takes it for https' })
    expect(name!.of('forwarding')).toMatchObject({ status: 'warning', fact: expect.stringMatching(/the server takes it for 127\.0\.0\.1:9$/) })
  })

  test('that gives the server a name of its own breaks /mcp, and the remedy is the setting', async ({ serve, doctor, proxy }) => {
    await serve()
    const url = await proxy({ sends: () => ({ host: 'inside.example' }) })
    const report = await doctor(['--url', url])

    expect(report).toMatchObject({ code: 1 })
    expect(report.of('mcp')).toMatchObject({ status: 'failed', fact: expect.stringContaining('not known by that Host'), remedy: expect.stringContaining('api.public_url') })
  })

  test('that answers upgrades itself is a warning', async ({ serve, doctor, proxy }) => {
    await serve()
    const report = await doctor(['--no-chat', '--url', await proxy({ upgrade: 400 })])
    const direct = await doctor(['--no-chat'])

    expect(direct.of('socket')).toMatchObject({ status: 'ok', fact: 'opens' })
    expect(report.of('socket')).toMatchObject({ status: 'warning', fact: '400, and not from muxi-api but from a-proxy', remedy: expect.stringContaining('Upgrade') })
  })
})
