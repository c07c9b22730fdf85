import { Redis } from 'ioredis'
import { describe } from 'vitest'
import { createRedisCluster } from '../../plugins/cluster/redis.ts'
import { clusterSuite } from '../plugins/cluster/suite.ts'
import { OwnRedis, redisMissing } from './own-redis.ts'
import { skipped } from './processes.ts'

describe.skipIf(skipped(redisMissing()))('a real Redis', () => {
  clusterSuite('redis', async () => {
    const redis = await OwnRedis.start()
    const clients = [0, 1].map(() => new Redis(redis.port, '127.0.0.1'))
    const [a, b] = clients.map((client) => createRedisCluster(client, 'test:'))
    return {
      a: a!,
      b: b!,
      close: async () => {
        await Promise.all([a!.close(), b!.close()])
        for (const client of clients) await client.quit()
        await redis.kill()
      }
    }
  })
})
