import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test as base } from 'vitest'
import { buildApp } from '../../../app.ts'
import { startEmbeddedCore } from '../../../core/embedded/index.ts'
import { as, configFor, keys, Lines } from '../../app.ts'
import { OwnRedis, redisMissing } from '../own-redis.ts'
import { installed, root, run, skipped } from '../processes.ts'
import { Server } from '../real-core.ts'
import { venv } from '../venv.ts'

interface Span { name: string, service: string, spanId: string, parentSpanId?: string, traceId: string, operation?: string, userId?: string, depth: number }
interface Log { message: string, level: string, service: string, traceId: string, spanId: string }

const folder = join(root, 'test/e2e/otlp')

const test = base.extend<{ url: string, service: (env?: Record<string, string>) => Promise<{ traceId: string, said: string }> }>({
  url: [async ({}, use) => {
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
    {
      await using server = await Server.start({ env: { MUXI_CORE_URI: core.url, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_CORE_CLIENT_KEY: keys.user, MUXI_API_HOST: '127.0.0.1' } })
      await expect.poll(async () => (await server.ready()).status, { timeout: 10_000 }).toBe(200)
      await use(server.url)
    }
    await core.close()
  }, { scope: 'file' }],
  service: async ({ url }, use) => {
    await use(async (env = {}) => {
      const programs = await venv('otlp', join(folder, 'requirements.txt'))
      const { stdout, stderr } = await run(join(programs, 'python'), [join(folder, 'service.py')], {
        timeout: 60_000,
        env: {
          PATH: process.env.PATH,
          MUXI_URL: url,
          MUXI_KEY: keys.admin,
          OTEL_SERVICE_NAME: 'shop',
          OTEL_EXPORTER_OTLP_ENDPOINT: `${url}/api`,
          OTEL_EXPORTER_OTLP_HEADERS: `Authorization=Bearer%20${keys.admin}`,
          ...env
        }
      })
      return { traceId: stdout.trim(), said: stderr }
    })
  }
})

async function traceOf (url: string, traceId: string): Promise<Span[]> {
  const { events = [] } = await (await fetch(`${url}/api/v1/traces/${traceId}`, { headers: as('admin') })).json() as { events?: Span[] }
  return events
}

/** The log events of a trace, from a stream that begins in the past. */
async function logsOf (url: string, traceId: string, wanted: number): Promise<Log[]> {
  const res = await fetch(`${url}/api/v1/logs/stream?service=shop&traceId=${traceId}&from=2020-01-01T00:00:00Z`, { headers: as('admin'), signal: AbortSignal.timeout(20_000) })
  const found: Log[] = []
  let text = ''
  for await (const chunk of res.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    const lines = text.split('\n')
    text = lines.pop()!
    found.push(...lines.filter((line) => line.startsWith('data: ')).map((line) => JSON.parse(line.slice(6)) as Log))
    if (found.length >= wanted) break
  }
  return found
}

// The first case may have to make an environment.
describe.skipIf(skipped(installed('python3') ? undefined : 'OTLP from Python: there is no python3'))('a Python service with the SDK of OpenTelemetry', { timeout: 180_000 }, () => {
  test('has its spans in one trace with those of the server for its request', async ({ url, service }) => {
    const { traceId, said } = await service()
    await expect.poll(async () => (await traceOf(url, traceId)).length, { timeout: 10_000 }).toBeGreaterThan(2)
    const spans = await traceOf(url, traceId)
    const [checkout] = spans.filter(({ name }) => name === 'checkout')
    const [call] = spans.filter(({ service, name }) => service === 'shop' && name !== 'checkout')
    const [request] = spans.filter(({ service }) => service === 'muxi-api')

    expect(said).toBe('')
    expect([...new Set(spans.map(({ service }) => service))].sort()).toEqual(['muxi-api', 'shop'])
    expect(checkout).toMatchObject({ traceId, operation: 'checkout', userId: 'u42', depth: 0 })
    expect(call).toMatchObject({ traceId, parentSpanId: checkout!.spanId, depth: 1 })
    expect(request).toMatchObject({ traceId, parentSpanId: call!.spanId, depth: 2 })
  })

  test.for(['none', 'gzip'])('has its log in the log stream, with the trace, compression %s', async (compression, { url, service }) => {
    const { traceId } = await service({ OTEL_EXPORTER_OTLP_COMPRESSION: compression })
    const logs = await logsOf(url, traceId, 2)

    expect(logs).toMatchObject([
      { message: 'asking MUXI for its agents', level: 'info', service: 'shop', traceId },
      { message: expect.stringMatching(/^it has \d+$/), level: 'warn', service: 'shop', traceId, attributes: { status: 200 } }
    ])
  })

  test('with a user key is told why, and goes on', async ({ service }) => {
    const { traceId, said } = await service({ OTEL_EXPORTER_OTLP_HEADERS: `Authorization=Bearer%20${keys.user}` })

    expect(traceId).toMatch(/^[0-9a-f]{32}$/)
    expect(said).toContain('403')
  })
})

describe.skipIf(skipped(redisMissing()))('without its Redis', () => {
  test('the server takes what it can hold, and then says when to come back', async () => {
    const redis = await OwnRedis.start()
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
    const app = await buildApp(configFor(core, { MUXI_API_REDIS_URL: `redis://127.0.0.1:${redis.port}`, MUXI_API_SECRET: 'a-secret-of-at-least-thirty-two-characters', MUXI_API_RATE_LIMIT: '0' }), new Lines())
    await app.ready()
    await app.core.check()
    const logRecords = Array.from({ length: 2_000 }, () => ({ severityNumber: 9, body: { stringValue: 'held' } }))
    const send = async () => await app.inject({ method: 'POST', url: '/api/v1/logs', headers: { ...as('admin'), 'content-type': 'application/json' }, payload: { resourceLogs: [{ scopeLogs: [{ logRecords }] }] } })
    const before = await send()
    await redis.kill()
    const answers = []
    for (let sent = 0; sent < 8; sent++) answers.push(await send())
    await app.close()
    await core.close()

    expect(before.statusCode).toBe(200)
    // Four or five find room: what the server says of itself is held beside them.
    expect(answers.map(({ statusCode }) => statusCode).join(' ')).toMatch(/^(?:200 ){4,6}503/)
    expect(answers.at(-1)!.headers['retry-after']).toBe('5')
  })
})

test('the guide shows the service as it is', async () => {
  const guide = await readFile(join(root, 'docs/guides/otlp.md'), 'utf8')
  const program = await readFile(join(folder, 'service.py'), 'utf8')

  expect(/```python\n(.*?)```/s.exec(guide)?.[1]).toBe(program)
})
