import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Cluster } from '../../../plugins/cluster/cluster.ts'

/** What every kind of cluster promises. `open` gives two instances of one cluster. */
export function clusterSuite (name: string, open: () => Promise<{ a: Cluster, b: Cluster, close: () => Promise<void> }>): void {
  const it = test.extend<{ pair: { a: Cluster, b: Cluster } }>({
    pair: async ({}, use) => {
      const pair = await open()
      await use(pair)
      await pair.close()
    }
  })

  it(`${name}: a value is seen by all instances, until its time is over`, async ({ pair: { a, b } }) => {
    await a.set('k', 'ü\n"', 60)

    expect(await b.get('k')).toBe('ü\n"')
    await expect.poll(async () => await b.get('k'), { timeout: 1_000, interval: 10 }).toBeUndefined()
  })

  it(`${name}: of many who set where nothing is, one wins`, async ({ pair: { a, b } }) => {
    const won = await Promise.all(Array.from({ length: 20 }, async (_, i) => await (i % 2 === 0 ? a : b).set('k', `v${i}`, 1_000, { value: undefined })))

    expect(won.filter(Boolean)).toHaveLength(1)
    expect(await a.get('k')).toBe(`v${won.indexOf(true)}`)
  })

  it(`${name}: a value is replaced and deleted only where it is the expected one`, async ({ pair: { a, b } }) => {
    await a.set('k', 'one', 1_000)

    expect(await b.set('k', 'two', 1_000, { value: 'other' })).toBe(false)
    expect(await b.set('k', '', 1_000, { value: 'one' })).toBe(true)
    expect(await a.set('k', 'three', 1_000, { value: undefined })).toBe(false)
    expect(await a.delete('k', { value: 'one' })).toBe(false)
    expect(await a.delete('k', { value: '' })).toBe(true)
    expect(await a.delete('k')).toBe(false)
  })

  it(`${name}: what is kept is seen, expected and deleted like any value`, async ({ pair: { a, b } }) => {
    await a.set('k', 'running', 1_000)
    await a.keep('k', 'done', 60)

    expect(await b.get('k')).toBe('done')
    expect(await b.set('k', 'again', 1_000, { value: undefined })).toBe(false)
    await expect.poll(async () => await b.get('k'), { timeout: 1_000, interval: 10 }).toBeUndefined()
    await b.keep('k', 'more', 1_000)
    expect(await a.delete('k', { value: 'more' })).toBe(true)
    expect(await a.get('k')).toBeUndefined()
  })

  it(`${name}: units add up over instances within a window, then begin anew`, async ({ pair: { a, b } }) => {
    const counts = await Promise.all(Array.from({ length: 10 }, async (_, i) => await (i % 2 === 0 ? a : b).add('c', 3, 200)))
    await sleep(250)
    const next = await b.add('c', 1, 200)

    expect(counts.map(({ total }) => total).sort((x, y) => x - y)).toEqual([3, 6, 9, 12, 15, 18, 21, 24, 27, 30])
    expect(Math.max(...counts.map(({ endsInMs }) => endsInMs))).toBeLessThanOrEqual(200)
    expect(next.total).toBe(1)
  })

  it(`${name}: a list keeps its newest items and their numbers`, async ({ pair: { a, b } }) => {
    for (let i = 0; i < 5; i++) await (i % 2 === 0 ? a : b).push('l', `i${i}`, { most: 3, ttlMs: 1_000 })

    expect(await b.list('l')).toEqual({ items: ['i2', 'i3', 'i4'], next: 5 })
    expect(await a.list('l', 3)).toEqual({ items: ['i3', 'i4'], next: 5 })
    expect(await a.list('l', 5)).toEqual({ items: [], next: 5 })
    expect(await a.list('none')).toEqual({ items: [], next: 0 })
  })

  it(`${name}: named counters sum over instances and keys`, async ({ pair: { a, b } }) => {
    await a.increment('u1', { chat: 2, __proto: 1 }, 1_000)
    await b.increment('u1', { chat: 1 }, 1_000)
    await b.increment('u2', { list: 4, chat: 1 }, 1_000)

    expect(await a.sums(['u1', 'u2', 'u3'])).toEqual({ chat: 4, list: 4, __proto: 1 })
    expect(await a.sums([])).toEqual({})
  })

  it(`${name}: members that were noted are counted once`, async ({ pair: { a, b } }) => {
    for (const member of ['x', 'y', 'x']) await a.note('s1', member, 1_000)
    await b.note('s2', 'y', 1_000)
    await b.note('s2', 'z', 1_000)

    expect(await a.noted(['s1', 's2', 's3'])).toBe(3)
    expect(await a.noted([])).toBe(0)
  })

  it(`${name}: a lock has one holder, each with a higher fence, and ends by itself`, async ({ pair: { a, b } }) => {
    const first = await a.lock('job', 5_000)
    const second = await b.lock('job', 5_000)
    expect(await first!.renew(80)).toBe(true)
    await expect.poll(async () => await first!.renew(1), { timeout: 1_000, interval: 100 }).toBe(false)
    const third = await b.lock('job', 5_000)
    await first!.release()
    const fourth = await a.lock('job', 5_000)
    await third!.release()
    const fifth = await a.lock('job', 5_000)

    expect([second, fourth]).toEqual([undefined, undefined])
    expect(third!.fence).toBeGreaterThan(first!.fence)
    expect(fifth!.fence).toBeGreaterThan(third!.fence)
  })

  it(`${name}: what an instance says of itself is read by all, as it is now by itself`, async ({ pair: { a, b } }) => {
    expect(await a.introductions()).toEqual(new Map())
    let load = 1
    await a.introduce(() => `a ${load}`)
    const first = [...await b.introductions()]
    load = 2

    expect(first).toEqual([[a.id, 'a 1']])
    expect((await a.introductions()).get(a.id)).toBe('a 2')
    await a.introduce(() => 'a leaves')
    expect((await b.introductions()).get(a.id)).toBe('a leaves')
  })
}
