import { Redis } from 'ioredis'
import { describe, expect } from 'vitest'
import { test as base } from '../cli/doctor.ts'
import { OwnRedis, redisMissing } from './own-redis.ts'
import { skipped } from './processes.ts'

const secret = 'a-secret-of-at-least-thirty-two-characters'

const test = base.extend<{ redis: OwnRedis, admin: Redis }>({
  redis: async ({}, use) => {
    const redis = await OwnRedis.start()
    await use(redis)
    await redis.kill()
  },
  admin: async ({ redis }, use) => {
    const client = new Redis(redis.port, '127.0.0.1')
    await use(client)
    client.disconnect()
  }
})

describe.skipIf(skipped(redisMissing()))('the doctor and Redis', () => {
  test('all is well where it answers, is new enough, and takes what is written; nothing of ours stays', async ({ doctor, redis, admin }) => {
    const report = await doctor([], { MUXI_API_REDIS_URL: `redis://127.0.0.1:${redis.port}`, MUXI_API_SECRET: secret })

    expect(report.checks.filter(({ id }) => id.startsWith('redis')).map(({ id, status }) => [id, status])).toEqual(
      ['redis', 'redis_version', 'redis_write', 'redis_clock', 'redis_secret', 'redis_tls'].map((id) => [id, 'ok']))
    expect(await admin.keys('*')).toEqual([])
  })

  test('a user without rights, and a wrong password, are told without that password', async ({ doctor, redis, admin }) => {
    await admin.call('ACL', 'SETUSER', 'reader', 'on', '>a-password-of-redis', '~muxi:*', '+ping', '+info', '+time', '+get')
    const urlOf = (password: string) => ({ MUXI_API_REDIS_URL: `redis://reader:${password}@127.0.0.1:${redis.port}`, MUXI_API_SECRET: secret })
    const reader = await doctor([], urlOf('a-password-of-redis'))
    const wrong = await doctor([], urlOf('another-password'))

    expect(reader.of('redis')).toMatchObject({ status: 'ok' })
    expect(reader.of('redis_write')).toMatchObject({ status: 'failed', fact: expect.stringContaining('NOPERM'), remedy: expect.stringContaining('~muxi:*') })
    expect(wrong.of('redis')).toMatchObject({ status: 'failed', fact: expect.stringContaining('WRONGPASS') })
    expect(reader.stdout + wrong.stdout).not.toMatch(/a-password-of-redis|another-password/)
  })

  test('one that is away, and a secret that is unset, have failed', async ({ doctor, redis }) => {
    await redis.kill()
    const report = await doctor([], { MUXI_API_REDIS_URL: `redis://127.0.0.1:${redis.port}` })

    expect(report.of('redis')).toMatchObject({ status: 'failed', fact: expect.stringContaining('ECONNREFUSED') })
    expect(report.of('redis_secret')).toMatchObject({ status: 'failed', remedy: expect.stringContaining('MUXI_API_SECRET') })
  })
})
