import { expect, test } from 'vitest'
import type { Batch, Cluster, Look } from '../../../plugins/cluster/cluster.ts'

export const keep = { most: 100, ttlMs: 60_000 }
export const all = { from: 1, most: 1_000 }

/** A batch of items of these texts. */
export function batch (id: string, ...texts: string[]): Batch {
  return { id, items: texts.map((text) => ({ nonce: `n-${text}`, text })) }
}

/** What a look at a topic found, as numbers and texts. */
export function found ({ entries }: Look): [number, string][] {
  return entries.map(({ seq, item }) => [seq, item.text])
}

/** What every kind of cluster promises of topics. `open` gives two instances of one cluster. */
export function topicSuite (name: string, open: () => Promise<{ a: Cluster, b: Cluster, close: () => Promise<void> }>): void {
  const it = test.extend<{ pair: { a: Cluster, b: Cluster } }>({
    pair: async ({}, use) => {
      const pair = await open()
      await use(pair)
      await pair.close()
    }
  })

  it(`${name}: many who append at once get numbers without a hole, and every batch stays together`, async ({ pair: { a, b } }) => {
    const heads = await Promise.all(Array.from({ length: 40 }, async (_, i) => await (i % 2 === 0 ? a : b).append('logs', batch(`b${i}`, `${i}a`, `${i}b`), keep)))
    const look = await b.look('logs', all)

    expect(new Set(heads.map(({ epoch }) => epoch))).toEqual(new Set([look.epoch]))
    expect(heads.map(({ seq }) => seq).sort((x, y) => x - y)).toEqual(Array.from({ length: 40 }, (_, i) => 2 * i + 2))
    expect(look.entries.map(({ seq }) => seq)).toEqual(Array.from({ length: 80 }, (_, i) => i + 1))
    for (const [i, { seq }] of heads.entries()) expect(found(look).slice(seq - 2, seq)).toEqual([[seq - 1, `${i}a`], [seq, `${i}b`]])
  })

  it(`${name}: an item comes back as it was, with its nonce`, async ({ pair: { a, b } }) => {
    await a.append('logs', { id: 'b1', items: [{ nonce: 'AbC-_123', text: '{"ü":"\\n\\u0000"}\n"' }, { nonce: 'x', text: '' }] }, keep)
    const { entries } = await b.look('logs', all)

    expect(entries).toMatchObject([{ seq: 1, item: { nonce: 'AbC-_123', text: '{"ü":"\\n\\u0000"}\n"' } }, { seq: 2, item: { nonce: 'x', text: '' } }])
  })

  it(`${name}: the same batch again appends nothing, and answers where the topic ends`, async ({ pair: { a, b } }) => {
    const first = await a.append('logs', batch('b1', 'x', 'y'), keep)
    const again = await Promise.all([a, b].map(async (cluster) => await cluster.append('logs', batch('b1', 'x', 'y'), keep)))

    expect(again).toEqual([first, first])
    expect(found(await a.look('logs', all))).toEqual([[1, 'x'], [2, 'y']])
  })

  it(`${name}: an item whose once was taken is left out, in the same batch and in another`, async ({ pair: { a, b } }) => {
    await a.append('traces', { id: 'b1', items: [{ nonce: '1', text: 'x', once: 'o' }, { nonce: '2', text: 'x again', once: 'o' }, { nonce: '3', text: 'y' }] }, keep)
    const head = await b.append('traces', { id: 'b2', items: [{ nonce: '4', text: 'x anew', once: 'o' }, { nonce: '5', text: 'z', once: 'p' }] }, keep)
    const none = await b.append('traces', { id: 'b3', items: [{ nonce: '6', text: 'z anew', once: 'p' }] }, keep)

    expect(none).toEqual(head)
    expect(found(await a.look('traces', all))).toEqual([[1, 'x'], [2, 'y'], [3, 'z']])
  })

  it(`${name}: batches, onces and numbers of topics do not mix`, async ({ pair: { a, b } }) => {
    for (const topic of ['logs', 'traces']) await a.append(topic, { id: 'b1', items: [{ nonce: '1', text: topic, once: 'b1' }] }, keep)
    const [logs, traces] = await Promise.all([b.look('logs', all), b.look('traces', all)])

    expect([found(logs), found(traces)]).toEqual([[[1, 'logs']], [[1, 'traces']]])
    expect(logs.epoch).not.toBe(traces.epoch)
  })

  it(`${name}: a look takes part of a topic, in ascending order`, async ({ pair: { a, b } }) => {
    await a.append('logs', batch('b1', ...'abcdef'), { most: 4, ttlMs: 60_000 })
    const looks = await Promise.all([[1, 10], [1, 2], [4, 2], [6, 9], [7, 9], [900, 9], [0, 9], [-2, 10], [-90, 10], [-3, 2]]
      .map(async ([from, most]) => found(await b.look('logs', { from: from!, most: most! })).map(([, text]) => text).join('')))
    const { seq, first } = await b.look('logs', { from: 7, most: 1 })

    expect(looks).toEqual(['cdef', 'cd', 'de', 'f', '', '', 'cdef', 'ef', 'cdef', 'ef'])
    expect({ seq, first }).toEqual({ seq: 6, first: 3 })
  })

  it(`${name}: a topic that nobody has appended to has an epoch, which the first append keeps`, async ({ pair: { a, b } }) => {
    const [one, two] = await Promise.all([a.look('logs', all), b.look('logs', { from: -5, most: 5 })])
    const head = await b.append('logs', batch('b1', 'x'), keep)

    expect(one).toEqual({ epoch: expect.stringMatching(/^[\w-]{12}$/) as string, seq: 0, first: 1, entries: [] })
    expect(two).toEqual(one)
    expect(head).toEqual({ epoch: one.epoch, seq: 1 })
  })

  it(`${name}: what a look finds and where the topic ends are of one moment`, async ({ pair: { a, b } }) => {
    const appends = Array.from({ length: 60 }, async (_, i) => await a.append('logs', batch(`b${i}`, 'x', 'y', 'z'), { most: 20, ttlMs: 60_000 }))
    const looks = await Promise.all(Array.from({ length: 60 }, async () => await b.look('logs', all)))
    await Promise.all(appends)

    for (const { entries, seq, first } of looks) expect(entries.map((entry) => entry.seq)).toEqual(Array.from({ length: seq - first + 1 }, (_, i) => first + i))
  })

  it(`${name}: of many who renew an epoch one does; numbers and entries go on`, async ({ pair: { a, b } }) => {
    const before = await a.append('logs', batch('b1', 'x'), keep)
    const renewed = await Promise.all([a, b, a, b].map(async (cluster) => await cluster.renew('logs', before.epoch)))
    const late = await a.renew('logs', 'another')
    const after = await b.append('logs', batch('b2', 'y'), keep)
    const again = await b.append('logs', batch('b1', 'x'), keep)
    const look = await a.look('logs', all)

    expect(renewed[0]).toEqual({ epoch: expect.not.stringMatching(before.epoch) as string, seq: 1 })
    expect(new Set([...renewed, late].map(({ epoch }) => epoch)).size).toBe(1)
    expect([after, again, { epoch: look.epoch, seq: look.seq }]).toEqual(Array.from({ length: 3 }, () => ({ epoch: renewed[0]!.epoch, seq: 2 })))
    expect(found(look)).toEqual([[1, 'x'], [2, 'y']])
  })

  it(`${name}: an append wakes who listens to the topic, at all instances, until they let go`, async ({ pair: { a, b } }) => {
    const seen = { a: 0, b: 0, gone: 0, other: 0 }
    const letGo = [
      a.onAppend('logs', () => { seen.a++ }), b.onAppend('logs', () => { seen.b++ }),
      b.onAppend('traces', () => { seen.other++ }), b.onAppend('logs', () => { seen.gone++ })
    ]
    letGo[3]!()
    let sent = 0
    await expect.poll(async () => {
      await a.append('logs', batch(`b${sent++}`, 'x'), keep)
      return seen.a > 3 && seen.b > 3
    }, { timeout: 5_000, interval: 10 }).toBe(true)
    for (const end of letGo) end()
    const then = seen.b
    await b.append('logs', batch('last', 'x'), keep)
    await b.look('logs', all)

    expect(seen.gone).toBe(0)
    expect(seen.other).toBeLessThan(2) // without need, when it begins to listen
    expect(seen.b).toBeLessThanOrEqual(then + 1) // what was on its way
  })

  it(`${name}: nothing is kept for longer than its time, and numbers go on`, async ({ pair: { a, b } }) => {
    await a.append('logs', batch('b1', ...'abc'), { most: 10, ttlMs: 150 })
    const before = found(await b.look('logs', all)).length
    await expect.poll(async () => (await b.look('logs', all)).entries, { timeout: 2_000, interval: 20 }).toEqual([])
    const { seq, first } = await b.look('logs', { from: -1, most: 1 })
    await b.append('logs', batch('b2', 'd'), keep)

    expect([before, seq, first]).toEqual([3, 3, 4])
    expect(found(await a.look('logs', all))).toEqual([[4, 'd']])
  })

  it(`${name}: of a topic that is appended to all the time the old go, the young stay`, async ({ pair: { a } }) => {
    const starts: number[] = []
    for (let i = 1; i <= 40; i++) {
      starts.push(performance.now())
      await a.append('logs', batch(`b${i}`, `${i}`), { most: 100, ttlMs: 100 })
      await new Promise((resolve) => { setTimeout(resolve, 5) })
    }
    const before = performance.now()
    const look = await a.look('logs', all)
    const after = performance.now()

    // An item is as old as the time from its append, give or take how long a call took.
    expect(look.first).toBeGreaterThan(starts.filter((start, i) => (starts[i + 1] ?? after) < before - 110).length)
    expect(look.first).toBeLessThanOrEqual(starts.filter((start) => start < after - 90).length + 1)
    expect(look.entries).toHaveLength(41 - look.first)
  })

  it(`${name}: every instance is among the members`, async ({ pair: { a, b } }) => {
    await expect.poll(async () => new Set(await a.members()), { timeout: 2_000, interval: 20 }).toEqual(new Set([a.id, b.id]))
    expect(a.id).toMatch(/^[0-9a-f]{8}$/)
  })

  it(`${name}: a topic that is used no more is forgotten`, async ({ pair: { a } }) => {
    const { epoch } = await a.append('passing', batch('b1', 'x'), { most: 10, ttlMs: 60_000, lifeMs: 100 })
    await new Promise((resolve) => { setTimeout(resolve, 200) })
    const head = await a.look('passing', all)

    expect(head).toMatchObject({ seq: 0, entries: [] })
    expect(head.epoch).not.toBe(epoch)
  })
}
