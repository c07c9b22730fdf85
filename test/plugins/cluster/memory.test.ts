import { expect, test } from 'vitest'
import { createMemoryCluster } from '../../../plugins/cluster/memory.ts'
import { clusterSuite } from './suite.ts'

clusterSuite('memory', async () => {
  const cluster = createMemoryCluster()
  return { a: cluster, b: cluster, close: cluster.close }
})

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
