import { describe, expect, test as base } from 'vitest'
import { startEmbeddedCore } from '../../core/embedded/index.ts'
import { keys } from '../app.ts'
import { load, trickle, windowsOf, type Got } from './load.ts'
import { OwnRedis, redisMissing } from './own-redis.ts'
import { skipped } from './processes.ts'
import { Server } from './real-core.ts'

/** What user keys have by default, and ten times as much, for a window and the beginning of the next. */
const limit = 600
const rate = limit * 10 / 60
const seconds = 70
const path = '/api/v1/conversations/ada'
const other = 'sk_muxi_user_another'

interface Run { one: Got[], other: Got[], lines: Record<string, unknown>[], instances: number }

const noRedis = skipped(redisMissing())

/** Both runs take the same minute. */
const test = base.extend<{ runs: { alone: Run, together: Run | undefined } }>({
  runs: [async ({}, use) => {
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
    core.keys.set(other, { scope: 'user' })
    const redis = noRedis ? undefined : await OwnRedis.start()
    const env = { MUXI_CORE_URI: core.url, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_CORE_CLIENT_KEY: keys.user, MUXI_API_HOST: '127.0.0.1' }
    try {
      const [alone, together] = await Promise.all([
        drive(1, env),
        redis === undefined ? undefined : drive(2, { ...env, MUXI_API_REDIS_URL: `redis://127.0.0.1:${redis.port}`, MUXI_API_SECRET: 'a-secret-of-at-least-thirty-two-characters' })
      ])
      await use({ alone, together })
    } finally {
      await redis?.kill()
      await core.close()
    }
  }, { scope: 'file' }]
})

/** One caller sends ten times what it may to so many servers, another five calls a second. */
async function drive (instances: number, env: Record<string, string>): Promise<Run> {
  const servers = await Promise.all(Array.from({ length: instances }, async () => await Server.start({ env })))
  const urls = servers.map(({ url }) => url)
  for (const server of servers) await expect.poll(async () => (await server.ready()).status, { timeout: 10_000 }).toBe(200)

  const flood = Promise.all(urls.map(async (url) => await load(url, { path, key: keys.user, amount: rate * seconds / instances, rate: rate / instances })))
  const quiet = await trickle(urls, { path, key: other, everyMs: 200 }, flood)
  const one = (await flood).flat()
  for (const server of servers) await server.stop()

  const lines = servers.flatMap((server) => server.lines).map((line) => JSON.parse(line) as Record<string, unknown>)
  return { one, other: quiet, lines, instances }
}

// The first case waits for the runs.
describe('autocannon at ten times the limit', { timeout: 180_000 }, () => {
  test('one instance lets through what the limit says, within five percent', ({ runs }) => {
    expectWithin(0.05, runs.alone)
  })

  test.skipIf(noRedis)('two on one Redis let through what the limit says, within ten percent', ({ runs }) => {
    expectWithin(0.1, runs.together!)
  })

  describe.for(['alone', 'together'] as const)('%s', (name) => {
    // Skipped, the other cases still run.
    const shown = name === 'together' ? test.skipIf(noRedis) : test

    shown('every 429 tells when to come back, in every header style', ({ runs }) => {
      const refused = runs[name]!.one.filter(({ status }) => status === 429)

      expect(refused.length).toBeGreaterThan(limit * 5)
      expect(new Set(refused.flatMap(faultsOf))).toEqual(new Set())
    })

    shown('the warning stands at each call from 80 % on, and in the log once per window', ({ runs }) => {
      const { one, lines } = runs[name]!
      const told = one.filter(({ headers }) => (headers['x-ratelimit-warning'] === 'true') !== (Number(headers['x-ratelimit-remaining']) <= limit / 5))
      const warnings = lines.filter(({ message }) => message === 'a caller has used 80 % of a limit')

      expect(told).toEqual([])
      expect(warnings).toEqual(windowsOf(one).map(() => expect.objectContaining({ level: 'warn', scope: 'key', limit, caller: 'user' })))
      expect(JSON.stringify(lines)).not.toContain(keys.user)
    })

    shown('another caller is served as if it were alone', ({ runs }) => {
      const { other, instances } = runs[name]!

      expect(other.length).toBeGreaterThan(100)
      expect(other.filter(({ status, headers }) => status !== 200 || 'x-ratelimit-warning' in headers)).toEqual([])
      for (const window of windowsOf(other)) {
        const left = window.map(({ headers }) => Number(headers['x-ratelimit-remaining']))
        // An instance counts a share of 1 % as used as soon as another has reserved it.
        const reserved = instances === 1 ? 0 : instances * limit / 100
        expect(left.filter((remaining, i) => remaining > limit - 1 - i + reserved || remaining < limit - 1 - i - reserved)).toEqual([])
      }
    })
  })
})

/** Checks each window by itself: which one a call falls into is the server's to say. */
function expectWithin (tolerance: number, { one, instances, other }: Run): void {
  const windows = windowsOf(one)
  const figures = windows.map((window) => ({ sent: window.length, through: window.filter(({ status }) => status === 200).length }))
  process.stderr.write(`${instances} instance(s): ${figures.map(({ sent, through }) => `${through} of ${sent}`).join(', ')}; another caller ${other.length} of ${other.length}\n`)

  expect(new Set(one.map(({ status }) => status))).toEqual(new Set([200, 429]))
  expect(figures.length).toBeGreaterThan(1)
  expect(figures[0]!.sent).toBeGreaterThan(limit * 8)
  for (const { sent, through } of figures) {
    expect(through).toBeGreaterThanOrEqual(Math.min(sent, limit) * (1 - tolerance))
    expect(through).toBeLessThanOrEqual(limit * (1 + (instances === 1 ? 0 : tolerance)))
  }
}

/** What is wrong with a 429, by the name of its header. */
function faultsOf ({ headers, body, at }: Got): string[] {
  const wait = Number(headers['retry-after'])
  // More than zero when the answer was long on its way to us.
  const late = at / 1_000 + wait - Number(headers['x-ratelimit-reset'])
  const { error } = JSON.parse(body) as { error: { code: string, details: { limit: number, retry_after: number }, request_id: string } }
  const holds = {
    'retry-after': Number.isInteger(wait) && wait >= 1 && wait <= 60,
    'x-ratelimit-limit': headers['x-ratelimit-limit'] === String(limit),
    'x-ratelimit-remaining': headers['x-ratelimit-remaining'] === '0',
    // Seconds since 1970, so far ahead as Retry-After says.
    'x-ratelimit-reset': late > -2 && late < 10,
    'ratelimit-policy': headers['ratelimit-policy'] === `"key";q=${limit};w=60`,
    ratelimit: headers.ratelimit === `"key";r=0;t=${wait}`,
    code: error.code === 'rate_limited',
    details: error.details.limit === limit && error.details.retry_after === wait,
    request_id: error.request_id === headers['x-request-id']
  }
  return Object.entries(holds).filter(([, held]) => !held).map(([name]) => `${name}: ${headers[name] ?? body}`)
}
