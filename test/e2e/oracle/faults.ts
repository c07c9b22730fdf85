import { setTimeout as sleep } from 'node:timers/promises'
import type { Installation } from './instances.ts'
import type { Random } from './random.ts'

/** What happened, and when. `loses`: the history was lost, or set back. */
export interface Happening { at: number, name: string, loses: boolean }

interface Fault { name: string, loses?: true, make: (installation: Installation, random: Random) => Promise<void> }

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
    name: 'the proxy is reloaded',
    make: async ({ proxy }) => { proxy.reload() }
  }
]

/** Makes each fault once, in an order and with pauses of the seed, spread over the time; `happened` grows as they begin. */
export async function makeFaults (installation: Installation, random: Random, seconds: number, happened: Happening[]): Promise<void> {
  const share = seconds * 1_000 / (faults.length + 1)
  const began = performance.now()
  for (const [i, { name, loses = false, make }] of random.shuffled(faults).entries()) {
    // What is left of its share of the time is the pause, and a part of it may be cut off.
    const due = began + share * (i + 0.5) + random.between(0, share / 2)
    await sleep(Math.max(0, due - performance.now()))
    happened.push({ at: performance.now(), name, loses })
    await make(installation, random)
  }
  await sleep(Math.max(0, began + seconds * 1_000 - performance.now()))
}
