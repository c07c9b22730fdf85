import { expect, test } from 'vitest'
import { createMemoryCluster } from '../../../plugins/cluster/memory.ts'
import { clusterSuite } from './suite.ts'
import { batch, keep, topicSuite } from './topics-suite.ts'

const open = async () => {
  const cluster = createMemoryCluster()
  return { a: cluster, b: cluster, close: cluster.close }
}

clusterSuite('memory', open)
topicSuite('memory', open)

test('what is kept in memory is bounded in number, the oldest goes first, and what is set stays', async () => {
  const cluster = createMemoryCluster()
  await cluster.set('running', 'yes', 60_000)
  for (let i = 0; i < 10_001; i++) {
    await cluster.keep(`k${i}`, 'v', 60_000)
    await cluster.get('k0')
  }
  const seen = await Promise.all(['k0', 'k1', 'k10000', 'running'].map(cluster.get))
  await cluster.close()

  expect(seen).toEqual([undefined, 'v', 'v', 'yes'])
})

test('what is kept in memory is bounded in bytes', async () => {
  const cluster = createMemoryCluster()
  const megabyte = 'x'.repeat(524_288)
  for (let i = 0; i < 70; i++) await cluster.keep(`k${i}`, megabyte, 60_000)
  const kept = (await Promise.all(Array.from({ length: 70 }, async (_, i) => await cluster.get(`k${i}`)))).filter((value) => value !== undefined)
  await cluster.close()

  expect(kept).toHaveLength(63)
})

test('items in memory are the very objects, whose text is not asked for', async () => {
  const cluster = createMemoryCluster()
  const item = { nonce: 'n', get text (): string { throw new Error('asked') } }
  await cluster.append('logs', { id: 'b', items: [item] }, keep)
  const { entries } = await cluster.look('logs', { from: 1, most: 10 })
  await cluster.close()

  expect(entries[0]!.item).toBe(item)
})

test('an append to memory is done, and has woken once, when the call is over', async () => {
  const cluster = createMemoryCluster()
  let woken = 0
  cluster.onAppend('logs', () => { woken++ })
  const appended = cluster.append('logs', batch('b', 'x', 'y'), keep)
  const wokenAtOnce = woken
  await appended
  await cluster.close()

  expect([wokenAtOnce, woken]).toEqual([1, 1])
})

test('in memory, what is too old goes alone, and a once is free again after ten minutes', async () => {
  let now = 0
  const cluster = createMemoryCluster(() => now)
  const append = async (id: string, most = 10) => await cluster.append('logs', { id, items: [{ nonce: id, text: id, once: 'o' }, { nonce: id, text: id }] }, { most, ttlMs: 400_000 })
  await append('b1')
  now = 300_000
  await append('b2')
  now = 500_000
  const numbers = (await cluster.look('logs', { from: 1, most: 10 })).entries.map(({ seq }) => seq)
  now = 600_000
  const head = await append('b3')
  await cluster.close()

  expect(numbers).toEqual([3])
  expect(head.seq).toBe(5)
})

test('items in memory are told by their numbers over many rounds of trimming', async () => {
  const cluster = createMemoryCluster()
  for (let i = 1; i <= 5_000; i++) await cluster.append('logs', batch(`b${i}`, `t${i}`), { most: 700, ttlMs: 60_000 })
  const { first, seq, entries } = await cluster.look('logs', { from: 1, most: 10_000 })
  await cluster.close()

  expect([first, seq]).toEqual([4_301, 5_000])
  expect(entries.map(({ seq, item }) => [seq, item.text])).toEqual(Array.from({ length: 700 }, (_, i) => [4_301 + i, `t${4_301 + i}`]))
})
