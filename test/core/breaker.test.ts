import { beforeEach, describe, expect, test } from 'vitest'
import { Breaker, Refusal, type BreakerState, type Failing } from '../../core/breaker.ts'

let now = 0
let turns: BreakerState[] = []
beforeEach(() => {
  now = 0
  turns = []
})
const breakerOf = (failures = 5) => new Breaker({ failures, windowMs: 10_000, openMs: 30_000 }, (state) => { turns.push(state) }, () => now)
const fail = (breaker: Breaker, times: number, failing: Failing = 'unwell') => {
  for (let n = 0; n < times; n++) breaker.failed(breaker.enter(), failing)
}
const succeed = (breaker: Breaker, times: number) => { for (let n = 0; n < times; n++) breaker.succeeded(breaker.enter()) }

describe('a breaker opens', () => {
  test('after five failures in a row, not after four', () => {
    const breaker = breakerOf()
    fail(breaker, 4)
    succeed(breaker, 20)
    fail(breaker, 4)
    expect(breaker.state).toBe('closed')
    fail(breaker, 1)

    expect(breaker).toMatchObject({ state: 'open', opened: 1 })
  })

  test('after five failures within the window where half of the calls fail, not where a few of many do', () => {
    const [half, few] = [breakerOf(), breakerOf()]
    for (let n = 0; n < 5; n++) {
      succeed(half, 1)
      fail(half, 1)
      succeed(few, 2)
      fail(few, 1)
    }

    expect([half.state, few.state]).toEqual(['open', 'closed'])
  })

  test('not for failures further apart than the window, with successes between', () => {
    const breaker = breakerOf()
    for (let n = 0; n < 20; n++) {
      now += 11_000
      fail(breaker, 1)
      succeed(breaker, 1)
    }

    expect(breaker.state).toBe('closed')
  })

  test('never where that is switched off', () => {
    const breaker = breakerOf(0)
    fail(breaker, 100)

    expect(breaker.state).toBe('closed')
  })
})

describe('an open breaker', () => {
  test('refuses every call at once, with a time to come back', () => {
    const breaker = breakerOf()
    fail(breaker, 5)

    expect(() => breaker.enter()).toThrow(Refusal)
    expect(() => breaker.enter()).toThrow(expect.objectContaining({ code: 'core_unavailable', statusCode: 503, retryAfter: 10 }))
  })

  test('lets exactly one call try after 24 to 36 s', () => {
    const breaker = breakerOf()
    fail(breaker, 5)
    now = 23_999
    expect(() => breaker.enter()).toThrow()
    now = 36_001
    breaker.enter()

    expect(breaker.state).toBe('half_open')
    expect(() => breaker.enter()).toThrow(Refusal)
  })

  test('closes when that call succeeds, and opens again when it fails', () => {
    const [well, ill] = [breakerOf(), breakerOf()]
    for (const breaker of [well, ill]) fail(breaker, 5)
    now = 36_001
    succeed(well, 1)
    fail(ill, 1)

    expect([well.state, ill.state, ill.opened]).toEqual(['closed', 'open', 2])
    expect(turns).toEqual(['open', 'open', 'half_open', 'closed', 'half_open', 'open'])
  })

  test('lets another call try when the caller of the first left', () => {
    const breaker = breakerOf()
    fail(breaker, 5)
    now = 36_001
    breaker.left(breaker.enter())
    succeed(breaker, 1)

    expect(breaker.state).toBe('closed')
  })

  test('opens for as long as the Core asked, at most twice its own time', () => {
    const [short, long] = [breakerOf(1), breakerOf(1)]
    short.failed(short.enter(), 'unwell', 2_000)
    long.failed(long.enter(), 'unwell', 3_600_000)
    now = 2_000
    short.enter()
    now = 59_999
    expect(() => long.enter()).toThrow()
    now = 60_000
    long.enter()

    expect([short.state, long.state]).toEqual(['half_open', 'half_open'])
  })

  test('does not heed calls that began before it opened', () => {
    const breaker = breakerOf()
    const early = [breaker.enter(), breaker.enter()]
    fail(breaker, 5)
    breaker.succeeded(early[0]!)
    now = 36_001
    breaker.enter()
    breaker.failed(early[1]!, 'unreachable')

    expect(breaker).toMatchObject({ state: 'half_open', opened: 1 })
  })
})

test('a passed check closes what was opened by a Core out of reach, not by one that is slow', () => {
  const [away, slow] = [breakerOf(), breakerOf()]
  fail(away, 5, 'unreachable')
  fail(slow, 4, 'unreachable')
  fail(slow, 1, 'unwell')
  away.proven()
  slow.proven()

  expect([away.state, slow.state]).toEqual(['closed', 'open'])
})

test('what failed before a breaker closed is forgotten', () => {
  const breaker = breakerOf()
  fail(breaker, 5)
  breaker.close()
  fail(breaker, 4)

  expect(breaker.state).toBe('closed')
})
