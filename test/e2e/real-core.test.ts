import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test as base } from 'vitest'
import { contract } from '../contract/suite.ts'
import { call, errorOf, eventsIn, eventsOf, fresh, leaveMidStream, type Received, requestAtCore, type Target, textOf } from '../contract/target.ts'
import { declaredAtReal, missingAtReal } from '../fixtures/real-core.ts'
import { clientCases } from './mcp/cases.ts'
import { clients } from './mcp/clients.ts'
import { prepare } from './mcp/prepare.ts'
import { root, skipped, temporary } from './processes.ts'
import { prefixed, RealCore, realCoreMissing, Server } from './real-core.ts'

const test = base.extend<{ core: RealCore, server: Server, target: Target }>({
  core: [async ({}, use) => {
    await using folder = await temporary()
    const core = await RealCore.at(join(folder.path, 'events.jsonl'))
    try {
      await core.start()
      await use(core)
    } finally {
      await core.stop()
    }
  }, { scope: 'file' }],
  server: [async ({ core }, use) => {
    await using server = await Server.start({ env: envFor(core) })
    await use(server)
  }, { scope: 'file' }],
  target: [async ({ core, server }, use) => {
    await server.missing()
    await use({
      url: server.url,
      core: core.url,
      keys: core.keys,
      real: true,
      missing: missingAtReal,
      declared: declaredAtReal,
      answering: async (user) => (await core.events()).some(({ event, request }) => event === 'agent.response.generated' && request?.user_id === user)
    })
  }, { scope: 'file' }]
})

function envFor ({ url, keys, eventsFile }: RealCore): Record<string, string> {
  // The cases try wrong keys by the dozen.
  return { MUXI_CORE_EVENTS_FILE: eventsFile, MUXI_CORE_URI: url, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_CORE_CLIENT_KEY: keys.user, MUXI_API_KEY_ATTEMPTS: '0' }
}

/** Runs a piece of a test without a Core, then starts another one at the same port. */
async function withoutCore (core: RealCore, servers: Server[], meanwhile: () => Promise<void>): Promise<void> {
  await core.kill()
  await meanwhile()
  await core.start()
  for (const server of servers) await expect.poll(async () => await server.ready(), { timeout: 5_000 }).toMatchObject({ status: 200, checks: { core: 'up' } })
}

describe.skipIf(skipped(realCoreMissing()))('in front of the real Core', () => {
  beforeAll(() => {
    if (!existsSync(join(root, 'dist/cli/index.js'))) throw new Error('not compiled: run npx tsc first')
  })

  test('the server finds out what this Core cannot do', async ({ server }) => {
    expect(await server.missing()).toEqual(missingAtReal)
  })

  describe('clients that others wrote', () => {
    beforeAll(prepare)
    // Of each era and language one: all go over the same server, and all are tried with the embedded Core.
    clientCases(test, clients.filter(({ name }) => ['@modelcontextprotocol/sdk 1', '@modelcontextprotocol/client 2, auto', 'mcp of Python, auto', 'the Go SDK, 2025-11-25'].includes(name)))
  })

  test('an attachment is a file to the Core, by its name', async ({ core, target }) => {
    const data = Buffer.from('%PDF-1.4\n%%EOF\n').toString('base64')
    const res = await call(target, 'user', '/api/v1/chat', { body: { content: 'Read this', user_id: fresh('alice'), attachments: [{ type: 'application/pdf', name: 'terms.pdf', data }] } })
    const { id } = await res.json() as { id: string }

    expect(res.status).toBe(200)
    await expect.poll(async () => (await core.events()).find(({ event, request }) => event === 'document.processing.started' && request?.id === id)?.data)
      .toMatchObject({ file_count: 1, filenames: ['terms.pdf'] })
  })

  test('one id names a chat here, at the Core, and in the log of the Core', async ({ core, target }) => {
    const res = await call(target, 'user', '/api/v1/chat', { body: { content: 'Where is the harbour?', user_id: fresh('alice') } })
    const { id } = await res.json() as { id: string }

    expect(await requestAtCore(target, id)).toMatchObject({ request_id: id, status: 'completed' })
    await expect.poll(async () => (await core.events()).filter(({ request }) => request?.id === id).map(({ event }) => event))
      .toEqual(expect.arrayContaining(['request.received', 'request.completed']))
  })

  test('what happens inside the Core is in the log, and in the trace of the chat', async ({ target }) => {
    const res = await call(target, 'user', '/api/v1/chat', { body: { content: 'Where is the lighthouse?', user_id: fresh('alice') } })
    const { id } = await res.json() as { id: string }
    const traceId = res.headers.get('x-trace-id')!
    const spans = async () => {
      const trace = await (await call(target, 'admin', `/api/v1/traces/${traceId}`)).json() as { events: { name: string, service: string, traceId: string, spanId: string, parentSpanId?: string }[] }
      return trace.events
    }
    await expect.poll(async () => (await spans()).filter(({ service }) => service === 'muxi-core').map(({ name }) => name)).toEqual(expect.arrayContaining(['user.message', 'overlord.response']))
    const all = await spans()
    const stream = all.find(({ service, name }) => service === 'muxi-api' && name === 'core.stream')!
    const logged = await fetch(`${target.url}/api/v1/logs/stream?service=muxi-core&from=${new Date(Date.now() - 600_000).toISOString()}`, { headers: { authorization: `Bearer ${target.keys.admin}` }, signal: AbortSignal.timeout(3_000) })
    let text = ''
    try {
      for await (const chunk of logged.body!) text += new TextDecoder().decode(chunk as Uint8Array)
    } catch { /* it goes on until it is left */ }

    expect(all.filter(({ service }) => service === 'muxi-core').every(({ parentSpanId }) => parentSpanId === stream.spanId)).toBe(true)
    expect(text).toContain(`"requestId":"${id}"`)
  })

  describe('below a path', () => {
    const prefix = '/api/my-formation'

    test.for(['environment', 'flag', 'file'] as const)('given by %s', async (by, { core, target }) => {
      await using gateway = await prefixed(core.url, prefix)
      await using folder = await temporary()
      const { MUXI_CORE_URI: _, ...env } = envFor(core)
      if (by === 'file') await writeFile(join(folder.path, 'muxi-api.yaml'), `core:\n  uri: ${gateway.url}\n`)
      await using server = await Server.start({
        cwd: folder.path,
        env: by === 'environment' ? { ...env, MUXI_CORE_URI: `${gateway.url}/` } : env,
        args: by === 'flag' ? ['--core-uri', gateway.url] : []
      })
      await expect.poll(async () => await server.ready()).toEqual({ status: 200, checks: { core: 'up', keys: 'up' } })
      const there = { ...target, url: server.url }
      const list = await call(there, 'admin', '/api/v1/agents')
      const events = await eventsOf(await call(there, 'user', '/api/v1/chat/stream', { body: { content: 'Count [fake: tokens=3]', user_id: fresh('alice') } }))

      expect(list.status).toBe(200)
      expect(textOf(events)).toBe('w1 w2 w3')
      expect(await server.stop()).toBe(0)
    })

    test('a chat whose client goes away is cancelled through the gateway, too', async ({ core, target }) => {
      await using gateway = await prefixed(core.url, prefix)
      await using server = await Server.start({ env: { ...envFor(core), MUXI_CORE_URI: gateway.url } })
      const res = await call({ ...target, url: server.url }, 'user', '/api/v1/chat/stream', { body: { content: 'Count [fake: tokens=400 delay_ms=50]', user_id: fresh('alice') } })
      const id = await leaveMidStream(target, res)

      await expect.poll(async () => await requestAtCore(target, id), { timeout: 1_000, interval: 100 }).toMatchObject({ status: 'cancelled' })
    })
  })

  describe('readiness', () => {
    test('a server whose own key the Core refuses is not ready, and says which', async ({ core }) => {
      await using server = await Server.start({ env: { ...envFor(core), MUXI_CORE_ADMIN_KEY: 'sk_muxi_admin_of_another_core' } })

      await expect.poll(async () => await server.ready()).toEqual({ status: 503, checks: { core: 'the MUXI Core refuses MUXI_CORE_ADMIN_KEY', keys: 'up' } })
    })

    test('a server without keys of its own is ready, and serves what the callers\' keys are good for', async ({ core, target }) => {
      await using server = await Server.start({ env: { MUXI_CORE_URI: core.url } })
      await expect.poll(async () => (await server.ready()).status).toBe(200)
      const there = { ...target, url: server.url }
      const own = await call(there, 'user', '/api/v1/chat', { body: { content: 'hello', user_id: fresh('alice') } })
      const borrowed = await call(there, 'admin', '/api/v1/chat', { body: { content: 'hello', user_id: fresh('alice') } })

      expect(own.status).toBe(200)
      expect(borrowed.status).toBe(501)
      expect((await errorOf(borrowed)).message).toContain('MUXI_CORE_CLIENT_KEY')
    })
  })

  describe('a Core that is killed', () => {
    test('ends a running stream with an error, and the next chat works once it is back', async ({ core, server, target }) => {
      const res = await call(target, 'user', '/api/v1/chat/stream', { body: { content: 'Count [fake: tokens=400 delay_ms=50]', user_id: fresh('alice') } })
      const events: Received[] = []
      let killed: Promise<void> | undefined
      for await (const event of eventsIn(res)) {
        events.push(event)
        if (event.event === 'content') killed ??= core.kill()
      }
      await killed
      await withoutCore(core, [server], async () => {})
      const next = await call(target, 'user', '/api/v1/chat', { body: { content: 'Are you back?', user_id: fresh('alice') } })

      expect(events.map(({ event }) => event)).not.toContain('message_end')
      expect(events.at(-1)).toMatchObject({ event: 'error', data: { error: { code: 'core_unavailable', request_id: res.headers.get('x-request-id') } } })
      expect(next.status).toBe(200)
      expect(await next.text()).toContain('Are you back?')
    })

    test('is core_unavailable to every call, and to a server that starts then; both serve when it is back', async ({ core, server, target }) => {
      await using late = await Server.start({ env: { ...envFor(core), MUXI_CORE_URI: core.url } })
      await withoutCore(core, [server, late], async () => {
        const body = { content: 'Are you there?' }
        const calls = [
          await call(target, 'admin', '/api/v1/agents'),
          await call(target, 'user', '/api/v1/chat', { body }),
          await call(target, 'user', '/api/v1/chat/stream', { body }),
          await call(target, 'user', '/api/v1/agents/greeter/chat', { body }),
          await call(target, { key: fresh('sk_muxi_user_new') }, '/api/v1/chat', { body })
        ]

        for (const res of calls) {
          expect(res.status).toBe(503)
          expect(res.headers.get('retry-after')).toMatch(/^[1-9]\d?$/)
          expect(await errorOf(res)).toMatchObject({ code: 'core_unavailable' })
        }
        // The look that a failed call sets off may end after that call.
        await expect.poll(async () => await server.ready()).toMatchObject({ status: 503, checks: { core: expect.stringContaining('cannot be reached') } })
        expect((await fetch(`${server.url}/health`)).status).toBe(200)
      })

      expect((await call(target, 'admin', '/api/v1/agents')).status).toBe(200)
      expect((await call({ ...target, url: late.url }, 'admin', '/api/v1/agents')).status).toBe(200)
    })
  })

  // Last, because its own last cases leave a Core that does not ask its model for a minute.
  contract(test)
})
