import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../processes.ts'
import type { Installation, Instance } from './instances.ts'
import type { Publisher } from './publishers.ts'
import type { Random } from './random.ts'

/** What happened, and when it began and was over. `loses`: the history was lost, or set back. `trims`: it was cut off before all had read it. */
export interface Happening { at: number, until: number, name: string, loses: boolean, trims: boolean }
/** All that faults are made with; `history` is how many events are kept. */
export interface Scene extends Pick<Installation, 'redis' | 'instances' | 'proxy'> { publishers: Publisher[], history: number }

interface Fault { name: string, loses?: true, trims?: true, make: (scene: Scene, random: Random) => Promise<void> }

/** Shorter than a client takes silence for death, with some time left to wake up. */
const mostFrozenMs = 8_000

const faults: Fault[] = [
  {
    name: 'Redis is killed and comes back empty',
    loses: true,
    make: async ({ redis }, random) => {
      await redis.kill()
      await sleep(random.between(100, 2_000))
      await redis.start()
    }
  },
  {
    name: 'Redis is killed and comes back with an old snapshot',
    loses: true,
    make: async ({ redis }, random) => {
      const snapshot = await redis.snapshot()
      await sleep(random.between(1_000, 4_000))
      await redis.kill()
      await sleep(random.between(100, 2_000))
      await redis.start(snapshot)
    }
  },
  {
    name: 'Redis is frozen for 5 s',
    make: async ({ redis }) => {
      redis.freeze()
      await sleep(5_000)
      redis.thaw()
    }
  },
  {
    name: 'an instance is killed and comes back',
    make: async ({ instances }, random) => {
      const instance = random.pick(instances)
      await instance.kill()
      await sleep(random.between(500, 3_000))
      await instance.start()
    }
  },
  {
    name: 'an instance is frozen until the history has passed it by',
    trims: true,
    make: async ({ instances, publishers, history }, random) => {
      const [frozen, other] = random.shuffled(instances) as [Instance, Instance]
      // What the fault before this one did must be over: else it would hide what this one does.
      await until(async () => await isFollowing(frozen) && await isFollowing(other))
      const others = publishers.filter(({ instance }) => instance !== frozen)
      const enough = Math.ceil(history * 1.1)
      frozen.freeze()
      const { epoch, seq } = await other.head()
      for (const publisher of others) publisher.burst(Math.ceil(enough / others.length))
      await until(async () => {
        const head = await other.head()
        return head.epoch === epoch && head.seq >= seq + enough
      }, mostFrozenMs).finally(() => { frozen.thaw() })
    }
  },
  {
    name: 'the proxy is reloaded',
    make: async ({ proxy }) => { proxy.reload() }
  }
]

/** Whether it reads what is published now, of the epoch that it is in. */
async function isFollowing (instance: Instance): Promise<boolean> {
  const before = await instance.head().catch(() => undefined)
  await sleep(500)
  const now = await instance.head().catch(() => undefined)
  return before !== undefined && now?.epoch === before.epoch && now.seq > before.seq
}

/** Makes each fault once, in an order and with pauses of the seed, spread over the time; `happened` grows as they begin. */
export async function makeFaults (scene: Scene, random: Random, seconds: number, happened: Happening[]): Promise<void> {
  const share = seconds * 1_000 / (faults.length + 1)
  const began = performance.now()
  for (const [i, { name, loses = false, trims = false, make }] of random.shuffled(faults).entries()) {
    // What is left of its share of the time is the pause, and a part of it may be cut off.
    const due = began + share * (i + 0.5) + random.between(0, share / 2)
    await sleep(Math.max(0, due - performance.now()))
    const happening: Happening = { at: performance.now(), until: Infinity, name, loses, trims }
    happened.push(happening)
    await make(scene, random)
    happening.until = performance.now()
  }
  await sleep(Math.max(0, began + seconds * 1_000 - performance.now()))
}
