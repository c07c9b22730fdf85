import { setImmediate as turn } from 'node:timers/promises'
import { expect, test as base } from 'vitest'
import type { Verdict } from '../../../core/keys.ts'
import { ApiError } from '../../../errors.ts'
import { Verdicts, type Settings, type Yes } from '../../../plugins/auth/verdicts.ts'

const minute = 60_000
const away = new ApiError('core_unavailable', 'away')

/** A machine in front of a Core that says what `answers` holds (a key that is not named is refused), under a clock that is set by hand. */
class Bench {
  now = 1_000_000
  readonly answers = new Map<string, Verdict | Error>([['good', { access: 'user' }], ['admin', { access: 'admin' }]])
  readonly asked: string[] = []
  readonly gone: string[] = []
  readonly verdicts: Verdicts
  /** Holds every answer back until it resolves. */
  gate: Promise<unknown> = Promise.resolve()
  /** Happens while the Core is being asked. */
  meanwhile = () => {}

  constructor (settings: Partial<Settings> = {}) {
    this.verdicts = new Verdicts({
      settings: () => ({ key_cache_ms: minute, key_cache_soft_ms: 5 * minute, key_cache_stale_ms: 15 * minute, key_cache_stale_admin_ms: 0, key_cache_negative_ms: 5_000, key_cache_size: 100, ...settings }),
      ask: async (key) => {
        this.asked.push(key)
        const answer = this.answers.get(key)
        await this.gate
        await turn()
        this.meanwhile()
        if (answer instanceof Error) throw answer
        return answer
      },
      onGone: (digest) => { this.gone.push(digest) },
      clock: () => this.now
    })
  }

  /** As a request does: from memory, else by asking. A key is its own digest here. */
  async on (key: string): Promise<string> {
    const known = this.verdicts.known(key, key)
    const answer: Yes | 'refused' | undefined = known ?? await this.verdicts.ask(key, key)
    return answer === undefined || answer === 'refused' ? 'no' : `${answer.verdict.access}${answer.stale ? ', stale' : ''}`
  }

  pass (ms: number): void {
    this.now += ms
  }
}

const test = base.extend<{ bench: Bench }>({ bench: async ({}, use) => { await use(new Bench()) } })

test('a fresh yes is served from memory, for a minute more or less', async ({ bench }) => {
  await bench.on('admin')
  bench.pass(0.79 * minute)
  await bench.on('admin')
  expect(bench.asked).toHaveLength(1)
  bench.pass(0.42 * minute)
  await bench.on('admin')

  expect(bench.asked).toHaveLength(2)
})

test('keys that came together are not asked for together again', async () => {
  const bench = new Bench()
  const names = Array.from({ length: 60 }, (_, i) => `key ${i}`)
  for (const name of names) bench.answers.set(name, { access: 'admin' })
  await Promise.all(names.map(async (name) => await bench.on(name)))
  bench.pass(minute)
  const due = names.filter((name) => bench.verdicts.known(name, name) === undefined)

  expect(due.length).toBeGreaterThan(10)
  expect(due.length).toBeLessThan(50)
})

test('a soft yes is served while the Core is asked once in the background', async ({ bench }) => {
  await bench.on('good')
  bench.pass(2 * minute)
  const answers = [bench.verdicts.known('good', 'good'), bench.verdicts.known('good', 'good')]
  await turn()
  await turn()
  await turn()

  expect(answers).toMatchObject([{ verdict: { access: 'user' } }, { verdict: { access: 'user' } }])
  expect(bench.asked).toHaveLength(2)
  expect(bench.verdicts.known('good', 'good')).toMatchObject({ provenAt: bench.now })
})

test('a key that was taken back at the Core ends with the first background question', async ({ bench }) => {
  await bench.on('good')
  bench.answers.delete('good')
  bench.pass(2 * minute)
  await bench.on('good')
  await expect.poll(async () => await bench.on('good')).toBe('no')

  expect(bench.gone).toEqual(['good'])
})

test('past the soft time, and for admins past the fresh one, the Core is asked first', async ({ bench }) => {
  await bench.on('good')
  await bench.on('admin')
  bench.pass(2 * minute)
  expect(bench.verdicts.known('admin', 'admin')).toBeUndefined()
  bench.pass(3 * minute)
  expect(bench.verdicts.known('good', 'good')).toBeUndefined()
})

test('in an outage a user key is served, marked, up to the ceiling since the last own yes of the Core; use does not move it', async ({ bench }) => {
  await bench.on('good')
  bench.answers.set('good', away)
  bench.pass(6 * minute)
  expect(await bench.on('good')).toBe('user, stale')
  for (let step = 0; step < 8; step++) {
    bench.pass(minute)
    await bench.on('good')
    await turn()
  }
  expect(await bench.on('good')).toBe('user, stale')
  bench.pass(minute)

  await expect(bench.on('good')).rejects.toThrow(away)
})

test('a stale key is fresh again soon after the Core is back, and refused if that says no', async ({ bench }) => {
  for (const key of ['good', 'other']) {
    bench.answers.set(key, { access: 'user' })
    await bench.on(key)
    bench.answers.set(key, away)
  }
  bench.pass(6 * minute)
  expect([await bench.on('good'), await bench.on('other')]).toEqual(['user, stale', 'user, stale'])
  bench.answers.set('good', { access: 'user' }).delete('other')
  bench.pass(1_100)

  await expect.poll(async () => [await bench.on('good'), await bench.on('other')]).toEqual(['user', 'no'])
})

test('an admin key is not served stale unless the settings say so', async () => {
  const outcomes: unknown[] = []
  for (const settings of [{}, { key_cache_stale_admin_ms: 10 * minute }]) {
    const bench = new Bench(settings)
    await bench.on('admin')
    bench.answers.set('admin', away)
    bench.pass(2 * minute)
    outcomes.push(await bench.on('admin').catch((error: ApiError) => error.code))
  }

  expect(outcomes).toEqual(['core_unavailable', 'admin, stale'])
})

test('garbage is no outage: nothing stands in for it, and it is not remembered', async ({ bench }) => {
  await bench.on('good')
  bench.answers.set('good', new ApiError('core_error', 'garbage'))
  bench.pass(6 * minute)

  await expect(bench.on('good')).rejects.toThrow('garbage')
  bench.answers.set('good', { access: 'user' })
  expect(await bench.on('good')).toBe('user')
})

test('a no is remembered for a short while, then asked again', async ({ bench }) => {
  await bench.on('later')
  bench.answers.set('later', { access: 'user' })
  bench.pass(4_900)
  expect(await bench.on('later')).toBe('no')
  bench.pass(200)

  expect(await bench.on('later')).toBe('user')
})

test('a no while a yes is on its way wins over it', async ({ bench }) => {
  let open = () => {}
  bench.gate = new Promise<void>((resolve) => { open = resolve })
  const asking = bench.on('good')
  bench.verdicts.deny('good')
  // The Core's copy that is asked lags behind, and says yes to every question.
  open()

  expect(await asking).toBe('user')
  expect(bench.asked).toHaveLength(2)
})

test('two nos overtaking two answers are believed', async ({ bench }) => {
  bench.meanwhile = () => { bench.verdicts.deny('good') }

  expect([await bench.on('good'), await bench.on('good')]).toEqual(['no', 'no'])
  expect(bench.asked).toHaveLength(2)
})

test('a key that was taken back stays so, whatever is on its way and whatever the Core still says', async ({ bench }) => {
  await bench.on('good')
  let open = () => {}
  bench.gate = new Promise<void>((resolve) => { open = resolve })
  bench.pass(2 * minute)
  bench.verdicts.known('good', 'good')
  bench.verdicts.revoke('good', 16 * minute)
  open()
  await turn()
  await turn()
  expect(await bench.on('good')).toBe('no')
  bench.pass(15 * minute)
  expect(await bench.on('good')).toBe('no')
  bench.pass(2 * minute)

  expect(await bench.on('good')).toBe('user')
})

test('a key that is taken back while it is first asked about is refused, although the Core says yes to that and to the next question', async ({ bench }) => {
  let once = true
  bench.meanwhile = () => {
    if (once) bench.verdicts.revoke('good', 16 * minute)
    once = false
  }

  expect([await bench.on('good'), await bench.on('good')]).toEqual(['no', 'no'])
})

test('a key taken back before the Core went away is not served stale', async ({ bench }) => {
  await bench.on('good')
  bench.verdicts.deny('good')
  bench.answers.set('good', away)
  bench.pass(6_000)

  await expect(bench.on('good')).rejects.toThrow(away)
})

test('a key that ends is not believed beyond its end, nor served stale', async ({ bench }) => {
  bench.answers.set('good', { access: 'user', exp: Math.floor(Date.now() / 1_000) + 1 })
  expect(await bench.on('good')).toBe('user')
  bench.answers.set('good', away)

  await expect.poll(async () => await bench.on('good').catch((error: ApiError) => error.code)).toBe('core_unavailable')
})

test('what was said while this instance heard nothing is asked anew', async ({ bench }) => {
  await bench.on('good')
  bench.verdicts.flush()
  await bench.on('good')

  expect(bench.asked).toHaveLength(2)
})

test('a thousand first uses at once are one question', async ({ bench }) => {
  const answers = await Promise.all(Array.from({ length: 1_000 }, async () => await bench.on('good')))

  expect(new Set(answers)).toEqual(new Set(['user']))
  expect(bench.asked).toHaveLength(1)
})

test('a failure to ask is told to all who asked, and not remembered', async ({ bench }) => {
  bench.answers.set('good', away)
  const results = await Promise.allSettled([bench.on('good'), bench.on('good')])
  bench.answers.set('good', { access: 'user' })

  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await bench.on('good')).toBe('user')
  expect(bench.asked).toHaveLength(2)
})

test('a hundred thousand bad keys push no good one out, and are themselves bounded', async () => {
  const bench = new Bench({ key_cache_size: 1_000 })
  await bench.on('good')
  for (let count = 0; count < 100_000; count++) await bench.verdicts.ask(`bad ${count}`, `bad ${count}`)
  bench.pass(0.5 * minute)

  expect(await bench.on('good')).toBe('user')
  expect(bench.asked).toHaveLength(100_001)
  bench.pass(-0.5 * minute)
  expect([bench.verdicts.refuses('bad 99999'), bench.verdicts.refuses('bad 0')]).toEqual([true, false])
})
