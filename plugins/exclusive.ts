import { setTimeout as sleep } from 'node:timers/promises'
import fp from 'fastify-plugin'
import { ApiError } from '../errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Runs the work while no other instance runs work of that name; waits a while for its turn, then `conflict`.
     * Before it changes anything the work makes sure that it is still its turn: a process that was held up, or cut off, is not, and `ensure` throws `conflict`.
     */
    exclusively: <T>(name: string, work: (ensure: () => Promise<void>) => Promise<T>) => Promise<T>
  }
}

const lockMs = 15_000
const renewMs = 5_000
const patienceMs = 10_000

/** One at a time, over all instances; over this one while the cluster is away. */
export default fp(async (app) => {
  const queues = new Map<string, Promise<unknown>>()

  app.decorate('exclusively', async <T>(name: string, work: (ensure: () => Promise<void>) => Promise<T>): Promise<T> => {
    // First in line here, so that instances and not calls contend for the lock.
    const turn = (queues.get(name) ?? Promise.resolve()).then(async () => await locked(name, work))
    const settled = turn.catch(() => {})
    queues.set(name, settled)
    try {
      return await turn
    } finally {
      if (queues.get(name) === settled) queues.delete(name)
    }
  })

  async function locked<T> (name: string, work: (ensure: () => Promise<void>) => Promise<T>): Promise<T> {
    const lock = await acquire(name)
    // A cluster that is away cannot say no: then this instance goes on alone, as it does where it is away from the beginning.
    const ensure = async () => {
      if (await lock?.renew(lockMs).catch(() => undefined) === false) throw new ApiError('conflict', 'it took so long that another call may have changed it by now: read it again')
    }
    const renewal = setInterval(() => { lock?.renew(lockMs).catch(() => {}) }, renewMs)
    try {
      return await work(ensure)
    } finally {
      clearInterval(renewal)
      await lock?.release().catch(() => {})
    }
  }

  async function acquire (name: string): ReturnType<typeof app.cluster.lock> {
    const until = performance.now() + patienceMs
    while (performance.now() < until) {
      try {
        const lock = await app.cluster.lock(name, lockMs)
        if (lock !== undefined) return lock
      } catch (err) {
        app.log.warn({ err }, 'no lock to be had: this instance goes on alone')
        return undefined
      }
      await sleep(20 + Math.random() * 60)
    }
    throw new ApiError('conflict', 'it is being changed by another call: try again')
  }
}, { name: 'exclusive', dependencies: ['cluster'] })
