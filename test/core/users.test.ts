import { expect } from 'vitest'
import { introduce } from '../../core/users.ts'
import { callsOf, test, user } from './client.ts'

test('a user whom another call has just made known is known', async ({ core, client }) => {
  await introduce(callsOf(client, user), 'ä b')
  core.fail({ path: '/v1/users/resolve', status: 500 })

  await expect(introduce(callsOf(client, user), 'ä b')).resolves.toBeUndefined()
})

test('a Core that fails and does not know the user has failed', async ({ core, client }) => {
  core.fail({ path: '/v1/users/resolve', status: 500 })

  await expect(introduce(callsOf(client, user), 'alice')).rejects.toMatchObject({ code: 'core_error' })
})

test('a Core that is away is not asked what it knows', async ({ core, client, seen }) => {
  await core.down()

  await expect(introduce(callsOf(client, user), 'alice')).rejects.toMatchObject({ code: 'core_unavailable' })
  expect(seen.calls.map(({ method }) => method)).toEqual(['POST'])
})
