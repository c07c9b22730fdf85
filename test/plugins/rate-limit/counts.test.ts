import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { countHere, countTogether, type Add } from '../../../plugins/rate-limit/counts.ts'

const far = 60_000
const gone = async (): Promise<never> => { throw new Error('away') }

/** One sum for all who ask, as Redis keeps it. */
function sum () {
  let total = 0
  let endsAt = 0
  return async (_: string, units: number, windowMs: number) => {
    await sleep(1)
    const now = performance.now()
    if (endsAt <= now) [total, endsAt] = [0, now + windowMs]
    total += units
    return { total, endsInMs: endsAt - now }
  }
}

/** Makes calls one after another; answers how many were let through and how many warned. */
async function call (adds: Add[], { times, max, units = 1 }: { times: number, max: number, units?: number }) {
  let through = 0
  let warned = 0
  for (let i = 0; i < times; i++) {
    const { used, warns } = await adds[i % adds.length]!('caller', units, max)
    if (used <= max) through++
    if (warns) warned++
  }
  return { through, warned }
}

describe('in this process', () => {
  test('each window lets through the limit and warns once', async () => {
    const add = countHere(100)
    const first = await call([add], { times: 30, max: 10 })
    await sleep(120)
    const second = await call([add], { times: 30, max: 10 })

    expect([first, second]).toEqual([{ through: 10, warned: 1 }, { through: 10, warned: 1 }])
  })

  test('while others cannot be asked, each call counts for all of them', async () => {
    expect(await call([countHere(far, () => 2)], { times: 30, max: 10 })).toEqual({ through: 5, warned: 1 })
  })
})

describe('together', () => {
  test.for([10, 350, 600])('one lets through the whole of a limit of %d, also where shares do not divide it', async (max) => {
    expect(await call([countTogether(far, sum(), gone)], { times: max * 2, max })).toEqual({ through: max, warned: 1 })
  })

  test('two warn once, and lose no more than the rest of a share each', async () => {
    const add = sum()
    const { through, warned } = await call([countTogether(far, add, gone), countTogether(far, add, gone)], { times: 1_200, max: 600 })

    expect(warned).toBe(1)
    expect(through).toBeGreaterThan(600 - 2 * 6)
    expect(through).toBeLessThanOrEqual(600)
  })

  test('heavy calls are let through as often as their units fit', async () => {
    expect(await call([countTogether(far, sum(), gone)], { times: 40, max: 100, units: 6 })).toMatchObject({ through: 16 })
  })

  test('those who wait while the window ends share what comes next', async () => {
    const asked: number[] = []
    const add = countTogether(far, async (_, units) => {
      asked.push(units)
      await sleep(1)
      // The first window is over as soon as it is told.
      return asked.length === 1 ? { total: units, endsInMs: 0 } : { total: units, endsInMs: far }
    }, gone)
    await Promise.all(Array.from({ length: 6 }, async () => await add('caller', 1, 600)))

    expect(asked).toEqual([6, 6])
  })
})
