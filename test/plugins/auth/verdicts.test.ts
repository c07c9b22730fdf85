import { setImmediate as turn } from 'node:timers/promises'
import { expect, test as base, vi } from 'vitest'
import type { Verdict } from '../../../core/keys.ts'
import { Verdicts } from '../../../plugins/auth/verdicts.ts'

interface Fixtures {
  /** what the Core says of each key; a key that is not named is refused */
  answers: Map<string, Verdict | Error>
  asked: string[]
  make: (settings?: Partial<ConstructorParameters<typeof Verdicts>[1]>) => Verdicts
  verdicts: Verdicts
}

const test = base.extend<Fixtures>({
  answers: async ({}, use) => { await use(new Map([['good', { access: 'user' }]])) },
  asked: async ({}, use) => { await use([]) },
  make: async ({ answers, asked }, use) => {
    await use((settings) => new Verdicts(Buffer.from('secret'), { key_cache_ms: 60_000, key_cache_negative_ms: 5_000, key_cache_size: 100, ...settings }, async (key) => {
      asked.push(key)
      await turn()
      const answer = answers.get(key)
      if (answer instanceof Error) throw answer
      return answer
    }))
  },
  verdicts: async ({ make }, use) => {
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] })
    // The cache keeps the clock that it found when it was loaded.
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => Date.now())
    await use(make())
    clock.mockRestore()
    vi.useRealTimers()
  }
})

/** The verdict on a key, from memory where it is known. */
async function on (verdicts: Verdicts, key: string): Promise<Verdict | 'refused' | undefined> {
  const digest = verdicts.digest(key)
  return verdicts.known(digest) ?? await verdicts.ask(key, digest)
}

test('a yes is remembered for as long as the setting says', async ({ verdicts, asked }) => {
  await on(verdicts, 'good')
  vi.advanceTimersByTime(59_900)
  expect(await on(verdicts, 'good')).toEqual({ access: 'user' })
  expect(asked).toHaveLength(1)
  vi.advanceTimersByTime(200)
  await on(verdicts, 'good')

  expect(asked).toHaveLength(2)
})

test('use does not make a yes live longer: a revoked key ends in time', async ({ verdicts, answers }) => {
  await on(verdicts, 'good')
  answers.delete('good')
  for (let second = 0; second < 61; second++) {
    vi.advanceTimersByTime(1_000)
    await on(verdicts, 'good')
  }

  expect(await on(verdicts, 'good')).toBe('refused')
})

test('a no is remembered for less long', async ({ verdicts, answers, asked }) => {
  await on(verdicts, 'later')
  answers.set('later', { access: 'admin' })
  vi.advanceTimersByTime(4_900)
  expect(await on(verdicts, 'later')).toBe('refused')
  expect(asked).toHaveLength(1)
  vi.advanceTimersByTime(200)

  expect(await on(verdicts, 'later')).toEqual({ access: 'admin' })
})

test('a key that ends is not believed beyond its end', async ({ verdicts, answers, asked }) => {
  answers.set('short', { access: 'user', exp: Math.floor(Date.now() / 1_000) + 10 })
  await on(verdicts, 'short')
  vi.advanceTimersByTime(11_000)
  answers.delete('short')

  expect(await on(verdicts, 'short')).toBeUndefined()
  expect(asked).toHaveLength(2)
})

test('a thousand first uses at once are one question', async ({ make, asked }) => {
  const verdicts = make()
  const answers = await Promise.all(Array.from({ length: 1_000 }, async () => await on(verdicts, 'good')))

  expect(answers.every((verdict) => typeof verdict === 'object' && verdict.access === 'user')).toBe(true)
  expect(asked).toHaveLength(1)
})

test('a failure to ask is told to all who asked, and not remembered', async ({ make, answers, asked }) => {
  const verdicts = make()
  answers.set('good', new Error('away'))
  const results = await Promise.allSettled([on(verdicts, 'good'), on(verdicts, 'good')])
  answers.set('good', { access: 'user' })

  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await on(verdicts, 'good')).toEqual({ access: 'user' })
  expect(asked).toHaveLength(2)
})

test('bad keys push no good ones out, and are themselves bounded', async ({ make, asked }) => {
  const verdicts = make({ key_cache_size: 10 })
  await on(verdicts, 'good')
  for (let count = 0; count < 500; count++) await on(verdicts, `bad ${count}`)

  expect(verdicts.known(verdicts.digest('good'))).toEqual({ access: 'user' })
  expect(verdicts.known(verdicts.digest('bad 499'))).toBe('refused')
  expect(verdicts.known(verdicts.digest('bad 0'))).toBeUndefined()
  expect(asked).toHaveLength(501)
})

test('what is forgotten is asked again', async ({ make, asked }) => {
  const verdicts = make()
  await on(verdicts, 'good')
  verdicts.forget(verdicts.digest('good'))
  await on(verdicts, 'good')

  expect(asked).toHaveLength(2)
})

test('a digest tells nothing of the key, and differs between deployments', ({ make }) => {
  const other = new Verdicts(Buffer.from('another secret'), { key_cache_ms: 1, key_cache_negative_ms: 1, key_cache_size: 1 }, async () => undefined)

  expect(make().digest('good')).toMatch(/^[\w-]{43}$/)
  expect(make().digest('good')).toBe(make().digest('good'))
  expect(make().digest('good')).not.toBe(other.digest('good'))
})
