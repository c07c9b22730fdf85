import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { createRedisCluster } from '../../plugins/cluster/redis.ts'
import { clusterSuite } from '../plugins/cluster/suite.ts'

clusterSuite('redis', async () => {
  const prefix = `test:${randomUUID()}:`
  const clients = [new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'), new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379')] as const
  const [a, b] = clients.map((client) => createRedisCluster(client, prefix))
  return {
    a: a!,
    b: b!,
    close: async () => { for (const client of clients) await client.quit() }
  }
})
