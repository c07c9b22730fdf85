import { expect } from 'vitest'
import { Memory } from '../../../core/embedded/memory.ts'
import { test } from './core.ts'

const chat = (message: string, session: string) => ({ method: 'POST', body: { message, session_id: session, stream: false } })
const data = async (res: Response) => (await res.json() as { data: Record<string, unknown> }).data
const asBob = { headers: { 'x-muxi-user-id': 'bob' } }

test('sessions are listed to their own user, the last used first', async ({ asAlice }) => {
  for (const session of ['s', 't', 's']) await asAlice('/v1/chat', chat('x', session))

  expect(await data(await asAlice('/v1/sessions'))).toMatchObject({ count: 2, sessions: [{ session_id: 's', user_id: 'alice', active: true }, { session_id: 't' }] })
  expect(await data(await asAlice('/v1/sessions', asBob))).toEqual({ sessions: [], count: 0 })
  expect(await data(await asAlice('/v1/sessions/s'))).toMatchObject({ session_id: 's', message_count: 4 })
  expect((await asAlice('/v1/sessions/s', asBob)).status).toBe(404)
})

test('sessions need a user', async ({ core }) => {
  const res = await fetch(`${core.url}/v1/sessions`, { headers: { 'x-muxi-client-key': core.userKey } })

  expect(res.status).toBe(400)
  expect(await res.json()).toMatchObject({ type: 'error.validation', error: { code: 'INVALID_REQUEST', message: expect.stringContaining('X-Muxi-User-Id') } })
})

test('the messages of a session are the oldest, whatever is asked for', async ({ asAlice }) => {
  for (const message of ['the first', 'and more data']) await asAlice('/v1/chat', chat(message, 's'))
  const { messages, has_more: hasMore } = await data(await asAlice('/v1/sessions/s/messages?limit=2&before=2020-01-01'))

  expect(hasMore).toBe(true)
  expect(messages).toMatchObject([
    { text: 'the first', metadata: { role: 'user', agent_id: 'overlord', session_id: 's', user_id: 'alice' }, namespace: expect.any(String) },
    { text: expect.stringContaining('You said: the first'), metadata: { role: 'assistant', agent_id: 'overlord', answered_by: 'greeter' } }
  ])
  expect(await data(await asAlice('/v1/sessions/never/messages'))).toEqual({ messages: [], count: 0, has_more: false })
})

test('a limit that is no number is refused', async ({ asAlice }) => {
  for (const limit of ['abc', '0', '0x10', '1.5', '']) expect((await asAlice(`/v1/sessions?limit=${limit}`)).status).toBe(422)
})

test('the buffer of a user can be measured and emptied, whole or by session', async ({ asAlice }) => {
  for (const session of ['s', 't']) await asAlice('/v1/chat', chat('x', session))

  expect(await data(await asAlice('/v1/memory/buffer'))).toMatchObject({ user_id: 'alice', total_messages: 4, sessions: 2 })
  expect(await data(await asAlice('/v1/memory/buffer/s', { method: 'DELETE' }))).toMatchObject({ messages_cleared: 2 })
  expect(await data(await asAlice('/v1/memory/buffer', { method: 'DELETE' }))).toMatchObject({ messages_cleared: 2 })
  expect(await data(await asAlice('/v1/memory/buffer/never', { method: 'DELETE' }))).toMatchObject({ messages_cleared: 0 })
})

test('a user is known after the first chat, and created when resolved', async ({ asAlice }) => {
  expect((await asAlice('/v1/users/alice')).status).toBe(404)
  await asAlice('/v1/chat', chat('x', 's'))
  const known = await data(await asAlice('/v1/users/alice'))
  const resolved = await data(await asAlice('/v1/users/resolve', { method: 'POST', body: { identifier: 'Bob@X.org' } }))

  expect(known).toEqual({ identifier: 'alice', muxi_user_id: expect.stringMatching(/^usr_/), internal_user_id: 1 })
  expect(resolved).toMatchObject({ identifier: 'bob@x.org', internal_user_id: 2 })
  expect(await data(await asAlice('/v1/users/BOB@x.org'))).toEqual(resolved)
})

test('the ring keeps the last 2000 messages of all users', () => {
  const memory = new Memory()
  const message = { role: 'user', session_id: 's', request_id: 'r', agent_id: 'a' } as const
  memory.add({ ...message, user_id: 'alice', text: 'first' })
  for (let n = 0; n < 2000; n++) memory.add({ ...message, user_id: 'bob', text: String(n) })

  expect(memory.of('alice')).toEqual([])
  expect(memory.of('bob')).toHaveLength(2000)
})
