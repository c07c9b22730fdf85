import { describe, expect, test } from 'vitest'
import { codeOf, isNetworkFailure, RetryBudget, withRetries } from '../../core/retry.ts'

const failing = (code: string, times: number) => {
  let attempts = 0
  return async () => {
    if (attempts++ < times) throw Object.assign(new Error(code), { code })
    return attempts
  }
}
const run = async (code: string, read: boolean) => await withRetries(failing(code, 2), { retries: 2, read, signal: undefined }).catch(codeOf)

test('a read is repeated after a broken connection, a write is not', async () => {
  expect(await run('ECONNRESET', true)).toBe(3)
  expect(await run('UND_ERR_SOCKET', true)).toBe(3)
  expect(await run('ECONNRESET', false)).toBe('ECONNRESET')
})

test('a write is repeated when nothing of it can have left', async () => {
  for (const code of ['ECONNREFUSED', 'ENOTFOUND', 'UND_ERR_CONNECT_TIMEOUT']) expect(await run(code, false)).toBe(3)
})

test('neither is repeated after a time-out or a fault of the asker', async () => {
  for (const code of ['core_timeout', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_INVALID_ARG']) expect(await run(code, true)).toBe(code)
})

test('repeating ends with the retries, and with the signal', async () => {
  const leaving = new AbortController()
  const none = withRetries(failing('ECONNREFUSED', 1), { retries: 0, read: true, signal: undefined })
  const left = withRetries(failing('ECONNREFUSED', 9), { retries: 9, read: true, signal: leaving.signal })
  leaving.abort(new Error('left'))

  await expect(none).rejects.toThrow('ECONNREFUSED')
  await expect(left).rejects.toThrow()
})

test('a fault of the asker is no failure of the network', () => {
  const failure = (code: string) => isNetworkFailure(Object.assign(new Error(), { code }))

  expect(['ECONNRESET', 'UND_ERR_SOCKET', 'CERT_HAS_EXPIRED', 'UND_ERR_DESTROYED'].every(failure)).toBe(true)
  expect(['UND_ERR_INVALID_ARG', 'ENOENT', ''].some(failure)).toBe(false)
})

test('no retry begins after the deadline, nor without the budget', async () => {
  const [late, poor] = [failing('ECONNREFUSED', 1), failing('ECONNREFUSED', 1)]
  const common = { retries: 2, read: true, signal: undefined }

  await expect(withRetries(late, { ...common, end: performance.now() })).rejects.toThrow('ECONNREFUSED')
  await expect(withRetries(poor, { ...common, allowed: () => false })).rejects.toThrow('ECONNREFUSED')
})

describe('the budget of retries', () => {
  const takeAll = (budget: RetryBudget) => {
    let taken = 0
    while (budget.take()) taken++
    return taken
  }

  test('is a fifth of the calls of the last seconds', () => {
    const budget = new RetryBudget(0.2, () => 0)
    for (let n = 0; n < 1_000; n++) budget.count(0)

    expect(takeAll(budget)).toBe(200)
  })

  test('has a small floor, except at nought', () => {
    expect([new RetryBudget(0.2, () => 0), new RetryBudget(0, () => 0)].map(takeAll)).toEqual([5, 0])
  })

  test('comes back as time goes by, and forgets old calls', () => {
    let now = 0
    const budget = new RetryBudget(0.2, () => now)
    for (let n = 0; n < 100; n++) budget.count(0)
    expect(takeAll(budget)).toBe(20)
    now = 6_000
    expect(budget.left).toBe(0)
    now = 11_000

    expect(budget.left).toBe(5)
  })
})
