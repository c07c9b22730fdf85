import { expect, test } from 'vitest'
import { Attempts, networkOf } from '../../../plugins/auth/attempts.ts'
import { createMemoryCluster } from '../../../plugins/cluster/memory.ts'

/** Counts with a limit; `slow: false` where answers that come slower would make the test slow. */
function bench (most = 4) {
  const blocks: string[] = []
  const cluster = createMemoryCluster()
  const attempts = new Attempts({ cluster, most: () => most, digest: (text) => text, onBlock: (kind, { address, digest }, seconds) => { blocks.push(`${kind} ${kind === 'key' ? digest : address} ${seconds}`) } })
  let count = 0
  return {
    attempts,
    blocks,
    cluster,
    /** A failure of a key that nobody has tried before. */
    fail: async (address: string) => await outcome(attempts.failed({ address, digest: `bad ${++count}` }, true))
  }
}

const outcome = async (admission: Promise<void>) => await admission.then(() => 'asked', (error: Error & { code: string }) => error.code)

test('beyond the limit an address is blocked: one stranger a second is asked for, a few wait, the others are told when to come back', async () => {
  const { attempts, blocks, fail } = bench()
  for (let i = 0; i < 5; i++) await fail('198.51.100.7')
  const began = performance.now()
  const answers = await Promise.all(Array.from({ length: 12 }, async (_, i) => await outcome(attempts.admit({ address: '198.51.100.7', digest: `new ${i}` }, true))))

  expect(blocks).toEqual(['address 198.51.100.7 60'])
  expect(answers.filter((answer) => answer === 'asked').length).toBeLessThanOrEqual(6)
  expect(answers.filter((answer) => answer === 'rate_limited').length).toBeGreaterThanOrEqual(6)
  expect(performance.now() - began).toBeGreaterThan(3_900)
})

test('a key that has been good passes from a blocked address, and every key from another', async () => {
  const { attempts, fail } = bench()
  for (let i = 0; i < 5; i++) await fail('2001:db8:0:7::1')

  expect(await outcome(attempts.admit({ address: '2001:db8:0:7::99', digest: 'good' }, false))).toBe('asked')
  expect(await outcome(attempts.admit({ address: '2001:db8:0:8::1', digest: 'new' }, true))).toBe('asked')
})

test('one key that fails again and again is blocked itself, and is one failure of its address', async () => {
  const { attempts, blocks } = bench()
  const one = { address: '198.51.100.7', digest: 'old key' }
  await attempts.failed(one, true)
  const answers = []
  for (let i = 0; i < 5; i++) answers.push(await outcome(attempts.failed(one, false)))

  expect(blocks).toEqual(['key old key 60'])
  expect(answers).toEqual(['asked', 'asked', 'asked', 'rate_limited', 'rate_limited'])
  await expect(attempts.admit(one, true)).rejects.toMatchObject({ code: 'rate_limited', retryAfter: 60 })
  expect(await outcome(attempts.admit({ ...one, digest: 'another' }, true))).toBe('asked')
})

test('blocks that follow each other double, up to 15 minutes', async () => {
  const { attempts, blocks, cluster } = bench(1)
  for (let i = 0; i < 6; i++) {
    await cluster.delete('attempts:key:k')
    for (let j = 0; j < 2; j++) await outcome(attempts.failed({ address: 'a', digest: 'k' }, false))
  }

  expect(blocks).toEqual([60, 120, 240, 480, 900, 900].map((seconds) => `key k ${seconds}`))
})

test('from half of the limit on the answers come slower', async () => {
  const { fail } = bench(8)
  const times: number[] = []
  for (let i = 0; i < 8; i++) {
    const began = performance.now()
    await fail('198.51.100.7')
    times.push(performance.now() - began)
  }

  expect(Math.max(...times.slice(0, 4))).toBeLessThan(95)
  expect(times[5]).toBeGreaterThan(190)
  expect(times[7]).toBeGreaterThan(790)
})

test('0 is no limit', async () => {
  const { attempts, blocks, fail } = bench(0)
  for (let i = 0; i < 50; i++) await fail('198.51.100.7')

  expect([blocks, await outcome(attempts.admit({ address: '198.51.100.7', digest: 'new' }, true))]).toEqual([[], 'asked'])
})

test.for([
  ['192.0.2.1', '192.0.2.1'], ['::ffff:192.0.2.1', '192.0.2.1'], ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'], ['2001:DB8:1:2::9', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'], ['::1', '0:0:0:0::/64'], ['fe80::1%eth0', 'fe80:0:0:0::/64'], ['1::', '1:0:0:0::/64'], ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64']
])('%s belongs to %s', ([address, network]) => {
  expect(networkOf(address!)).toBe(network)
})
