import { describe, expect } from 'vitest'
import { startEmbeddedCore, type EmbeddedCore } from '../../core/embedded/index.ts'
import { as, keys, test } from '../app.ts'

const status = { url: '/api/v1/system/status', headers: as('admin') }
const bearer = (n: number) => ({ authorization: `Bearer sk_muxi_user_unknown${String(n).padStart(12, '0')}` })

describe('a Core that takes 5 s for everything', () => {
  test.override({ settings: { MUXI_API_RATE_LIMIT: '0', MUXI_CORE_BREAKER_OPEN_MS: '3000' } })

  test('costs a key 2 s, is left alone after five, is tried by one; who needs no Core waits for nothing', { timeout: 40_000 }, async ({ app, core }) => {
    const warm = { url: '/api/v1/system/usage', headers: as('admin') }
    const waits: number[] = []
    const timed = async (request: object) => {
      const began = performance.now()
      const { statusCode, headers, body } = await app.inject(request)
      return { statusCode, retryAfter: headers['retry-after'], isLate: body.includes('in time'), ms: performance.now() - began }
    }
    for (let n = 0; n < 50; n++) await app.inject(warm)
    core.fail({ delayMs: 5_000 })

    const asks = { ended: false }
    const asking = (async () => {
      while (!asks.ended) {
        const { statusCode, ms } = await timed(warm)
        expect(statusCode).toBe(200)
        waits.push(ms)
        await new Promise((resolve) => { setTimeout(resolve, 5) })
      }
    })()
    const slow = await Promise.all([1, 2, 3, 4, 5].map(async (n) => await timed({ url: '/api/v1/agents', headers: bearer(n) })))
    const asked = core.calls.length
    const refused = await timed({ url: '/api/v1/agents', headers: bearer(6) })
    const askedThen = core.calls.length
    await new Promise((resolve) => { setTimeout(resolve, 3_700) })
    const tried = await Promise.all([7, 8, 9].map(async (n) => await timed({ url: '/api/v1/agents', headers: bearer(n) })))
    asks.ended = true
    await asking
    const p99 = waits.toSorted((a, b) => a - b)[Math.floor(waits.length * 0.99)]!
    process.stderr.write(`verdicts of a slow Core: ${slow.map(({ ms }) => Math.round(ms)).join(', ')} ms; refused in ${refused.ms.toFixed(1)} ms; warm p99 ${p99.toFixed(1)} ms of ${waits.length}\n`)

    expect(slow.every(({ statusCode, ms }) => statusCode === 503 && ms > 1_900 && ms < 3_500)).toBe(true)
    expect(refused).toMatchObject({ statusCode: 503, retryAfter: expect.stringMatching(/^[1-4]$/) })
    expect(refused.ms).toBeLessThan(200)
    // Its own check alone may be between.
    expect(askedThen - asked).toBeLessThanOrEqual(1)
    expect(tried.map(({ statusCode, isLate }) => [statusCode, isLate]).toSorted()).toEqual([[503, false], [503, false], [503, true]])
    expect(p99).toBeLessThan(150)
  })
})

describe('with a second address', () => {
  const other = test.extend<{ fallback: EmbeddedCore, settings: Record<string, string> }>({
    fallback: async ({}, use) => {
      const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
      await use(core)
      await core.close()
    },
    settings: async ({ fallback }, use) => { await use({ MUXI_CORE_FALLBACK_URIS: fallback.url }) }
  })

  other('calls go on when the first goes away; status, metrics and log tell of it', async ({ app, core, fallback, lines }) => {
    await core.down()
    await expect.poll(async () => (await app.inject({ url: '/api/v1/agents', headers: as('admin') })).statusCode).toBe(200)
    const { components, status: whole } = (await app.inject(status)).json<{ status: string, components: { core: object } }>()
    const metrics = (await app.inject({ url: '/metrics', headers: as('admin') })).body

    expect(whole).toBe('healthy')
    expect(components.core).toMatchObject({ host: new URL(fallback.url).host, in_use: 'fallback_1', failovers: 1, addresses: [{ name: 'primary', host: new URL(core.url).host }, { name: 'fallback_1', breaker: 'closed' }] })
    expect(metrics).toContain('muxi_api_core_failovers_total{to="fallback_1"} 1')
    expect(metrics).toContain('muxi_api_core_in_use{target="primary"} 0')
    expect(metrics).toContain('muxi_api_core_in_use{target="fallback_1"} 1')
    expect(lines.all).toContainEqual(expect.objectContaining({ message: 'calls go to another MUXI Core', from: core.url, to: fallback.url }))
  })
})

describe('status and metrics', () => {
  test.override({ settings: { MUXI_API_RATE_LIMIT: '0' } })

  test('tell of breaker, retries and connections', async ({ app, core }) => {
    core.fail({ path: '/v1/agents', drop: true })
    for (let n = 0; n < 6; n++) await app.inject({ url: '/api/v1/agents', headers: as('admin') })
    const metrics = (await app.inject({ url: '/metrics', headers: as('admin') })).body
    const { components } = (await app.inject(status)).json<{ components: { core: { addresses: object[], retries: { made: number }, refused: number } } }>()

    expect(components.core.addresses[0]).toMatchObject({ breaker_opened: 1, connections: { open: expect.any(Number), running: expect.any(Number), queued: 0 } })
    expect(components.core.retries.made).toBe(5)
    expect(metrics).toMatch(/^muxi_api_core_breaker_opened_total\{target="primary"\} 1$/m)
    expect(metrics).toMatch(/^muxi_api_core_breaker_state\{target="primary"\} [02]$/m)
    expect(metrics).toMatch(/^muxi_api_core_retries_total\{outcome="made"\} 5$/m)
    expect(metrics).toMatch(/^muxi_api_core_retries_total\{outcome="denied"\} [1-9]/m)
    expect(metrics).toMatch(/^muxi_api_core_refused_total \d/m)
    expect(metrics).toMatch(/^muxi_api_core_connections\{target="primary",state="open"\} \d/m)
  })
})
