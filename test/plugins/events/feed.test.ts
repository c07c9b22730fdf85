import { expect, test } from 'vitest'
import { createMemoryCluster } from '../../../plugins/cluster/memory.ts'
import { Feed } from '../../../plugins/events/feed.ts'
import { positionOf } from '../../../plugins/events/position.ts'
import { Recorded } from '../../../plugins/events/recorded.ts'

type Store = ReturnType<typeof createMemoryCluster>
const kept = { most: 1_000, ttlMs: 1_000_000 }

/** A store that can be exchanged for another, as a restart does. */
class Fallible implements Pick<Store, 'look' | 'renew' | 'onAppend'> {
  store = createMemoryCluster()
  away = false
  wakes = new Set<() => void>()
  look: Store['look'] = async (topic, options) => {
    if (this.away) throw new Error('away')
    return await this.store.look(topic, options)
  }

  renew: Store['renew'] = async (topic, epoch) => await this.store.renew(topic, epoch)
  onAppend: Store['onAppend'] = (_, wake) => {
    this.wakes.add(wake)
    return () => { this.wakes.delete(wake) }
  }

  async append (...texts: (string | Recorded)[]): Promise<void> {
    await this.store.append('logs', { id: String(Math.random()), items: texts.map((text) => typeof text === 'string' ? recorded(text) : text) }, kept)
    for (const wake of this.wakes) wake()
  }
}

function recorded (message: string): Recorded {
  return Recorded.ofEvent({ timestamp: new Date().toISOString(), level: 'info', message, service: 'test' })
}

async function begun (capacity = 100): Promise<{ store: Fallible, feed: Feed, said: () => unknown[] }> {
  const store = new Fallible()
  const feed = new Feed('logs', store, capacity, () => {})
  await feed.join()
  const said = () => Array.from({ length: feed.ring.next - feed.ring.oldest }, (_, i) => {
    const { recorded: one, gap } = feed.ring.at(feed.ring.oldest + i)!
    return gap?.reason ?? (one!.event as { message: string }).message
  })
  return { store, feed, said }
}

test('a feed has what is appended, in order', async () => {
  const { store, said } = await begun()
  await store.append('a', 'b')
  await store.append('c')

  await expect.poll(said).toEqual(['a', 'b', 'c'])
})

test('a store that lost everything is one gap, then what is new', async () => {
  const { store, feed, said } = await begun()
  await store.append('a', 'b')
  await expect.poll(said).toEqual(['a', 'b'])
  const last = feed.headId
  store.store = createMemoryCluster()
  await store.append('c')

  await expect.poll(said).toEqual(['a', 'b', 'epoch', 'c'])
  expect(feed.ring.at(feed.ring.find(last)! + 1)!.gap).toEqual({ reason: 'epoch', from: last })
})

test('a store that lost everything and has grown beyond the ring since leaves its gap in the ring', async () => {
  const { store, feed, said } = await begun(10)
  await store.append('a')
  await expect.poll(said).toEqual(['a'])
  const last = feed.headId
  store.store = createMemoryCluster()
  await store.append(...Array.from({ length: 30 }, (_, i) => `event ${i}`))

  await expect.poll(() => said().at(-1)).toBe('event 29')
  expect(feed.ring.at(feed.ring.oldest)!.gap).toEqual({ reason: 'epoch', from: last })
})

test('a store that was set back is one gap, and nothing is delivered twice', async () => {
  const { store, said } = await begun()
  const first = [recorded('a'), recorded('b')]
  await store.append(...first)
  await expect.poll(said).toEqual(['a', 'b'])
  const { epoch } = await store.store.look('logs', { from: 1, most: 1 })
  // As a restart from an older snapshot does: the same epoch, the same first event, without the second.
  const older = createMemoryCluster()
  await older.append('logs', { id: 'again', items: [first[0]!] }, kept)
  store.store = sameEpoch(older, epoch)
  for (const wake of store.wakes) wake()

  await expect.poll(said).toEqual(['a', 'b', 'epoch'])
})

test('a store that was set back and has grown beyond the cursor since is told by its nonce', async () => {
  const { store, said } = await begun()
  const first = [recorded('a'), recorded('b')]
  await store.append(...first)
  await expect.poll(said).toEqual(['a', 'b'])
  const { epoch } = await store.store.look('logs', { from: 1, most: 1 })
  const older = createMemoryCluster()
  await older.append('logs', { id: 'again', items: [first[0]!, recorded('x'), recorded('y'), recorded('z')] }, kept)
  store.store = sameEpoch(older, epoch)
  for (const wake of store.wakes) wake()

  await expect.poll(said).toEqual(['a', 'b', 'epoch', 'x', 'y', 'z'])
})

test('numbers that were dropped before they were read are one gap with their count', async () => {
  const { store, feed, said } = await begun()
  await store.append('a')
  await expect.poll(said).toEqual(['a'])
  store.away = true
  for (let i = 0; i < 2_500; i++) await store.append(`event ${i}`)
  store.away = false
  for (const wake of store.wakes) wake()

  await expect.poll(() => said().at(-1)).toBe('event 2499')
  const gaps = Array.from({ length: feed.ring.next }, (_, at) => feed.ring.at(at)?.gap).filter((gap) => gap !== undefined)
  expect(gaps.every(({ reason }) => reason === 'trimmed')).toBe(true)
})

test('a store that is away costs nothing that it still has when it is back', async () => {
  const { store, said } = await begun()
  store.away = true
  await store.append('a', 'b')
  store.away = false
  for (const wake of store.wakes) wake()

  await expect.poll(said).toEqual(['a', 'b'])
})

test('a feed that nothing is known of fails with its store', async () => {
  const store = new Fallible()
  store.away = true
  const feed = new Feed('logs', store, 100, () => {})

  await expect(feed.join()).rejects.toThrow('away')
})

test('an id of a past that was set back begins with a gap', async () => {
  const { store, feed, said } = await begun()
  await store.append('a', 'b')
  await expect.poll(said).toEqual(['a', 'b'])
  const { epoch, seq } = positionOf(feed.headId)!

  expect(await feed.startAfter(`${epoch}.${seq}.another0`)).toEqual({ gap: { reason: 'epoch', from: `${epoch}.${seq}.another0` } })
})

test('an id that is older than the ring begins in the store', async () => {
  const { store, feed, said } = await begun(10)
  await store.append('a')
  await expect.poll(said).toEqual(['a'])
  const id = feed.headId
  for (let i = 0; i < 50; i++) await store.append(`event ${i}`)
  await expect.poll(() => said().at(-1)).toBe('event 49')

  expect(await feed.startAfter(id)).toEqual({ after: positionOf(id) })
})

test('a client of another instance may be further than this one', async () => {
  const { store, feed } = await begun()
  store.wakes.clear()
  const one = recorded('a')
  await store.append(one)
  const { epoch } = await store.store.look('logs', { from: 1, most: 1 })

  expect(await feed.startAfter(`${epoch}.1.${one.nonce}`)).toEqual({ at: 1 })
})

test('while the store is away it is not said of an id that is unknown here whether it is one of a lost past or ahead of this instance', async () => {
  const { store, feed, said } = await begun()
  await store.append('a')
  await expect.poll(said).toEqual(['a'])
  const { epoch } = positionOf(feed.headId)!
  store.away = true
  const ids = [`${epoch}.7.another0`, 'another.1.another0']

  expect(await Promise.all(ids.map(async (id) => await feed.startAfter(id)))).toEqual(ids.map((id) => ({ after: positionOf(id) })))
})

test('there is a place behind an event that was read here, and behind no other with its number, and none ahead', async () => {
  const { store, feed, said } = await begun()
  await store.append('a', 'b')
  await expect.poll(said).toEqual(['a', 'b'])
  const last = positionOf(feed.headId)!

  expect(feed.placeAfter(last)).toBe(2)
  expect(feed.placeAfter({ ...last, nonce: 'another0' })).toBeUndefined()
  expect(feed.placeAfter({ ...last, seq: last.seq + 1, nonce: '-' })).toBeUndefined()
})

/** A store whose epoch is that of another, until it is renewed. */
function sameEpoch (store: Store, epoch: string): Store {
  let renewed = false
  return Object.assign(Object.create(store) as Store, {
    look: async (...args: Parameters<Store['look']>) => {
      const look = await store.look(...args)
      return renewed ? look : { ...look, epoch }
    },
    renew: async (topic: string) => {
      renewed = true
      return await store.renew(topic, (await store.look(topic, { from: 1, most: 1 })).epoch)
    }
  })
}
