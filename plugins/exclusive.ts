import { setTimeout as sleep } from 'node:timers/promises'
import fp from 'fastify-plugin'
import { ApiError } from '../errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Runs the work while no other instance runs work of that name; waits a while for its turn, then `conflict`. */
    exclusively: <T>(name: string, work: () => Promise<T>) => Promise<T>
  }
}

const lockMs = 15_000
const renewMs = 5_000
const patienceMs = 10_000

/** One at a time, over all instances; over this one while the cluster is away. */
export default fp(async (app) => {
  const queues = new Map<string, Promise<unknown>>()

  app.decorate('exclusively', async <T>(name: string, work: () => Promise<T>): Promise<T> => {
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

  async function locked<T> (name: string, work: () => Promise<T>): Promise<T> {
    const lock = await acquire(name)
    const renewal = setInterval(() => { lock?.renew(lockMs).catch(() => {}) }, renewMs)
    try {
      return await work()
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
