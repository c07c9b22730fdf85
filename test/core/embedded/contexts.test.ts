import { expect } from 'vitest'
import { test } from './core.ts'

const context = '/v1/users/alice/context'
const data = async (res: Response) => (await res.json() as { data: Record<string, unknown> }).data
const knowledge = (knowledge: unknown, method = 'POST', ifMatch?: string) => ({ method, body: { knowledge }, ...(ifMatch !== undefined && { headers: { 'if-match': ifMatch } }) })

test('a context is added to, changed deeply, taken from and emptied, and each answer has its version', async ({ asAdmin }) => {
  const added = await asAdmin(context, knowledge({ name: 'Ada', location: { city: 'Rome', zip: 1 }, preferences: { unit: 'F', tags: [1] } }))
  const updated = await data(await asAdmin(context, knowledge({ location: { city: 'Oslo' }, preferences: { tags: [2], empty: {} } }, 'PATCH')))
  const read = await data(await asAdmin(context))
  const some = await data(await asAdmin(`${context}?fields=preferences.tags,name,never`, { method: 'DELETE' }))
  const rest = await data(await asAdmin(context))
  const all = await data(await asAdmin(context, { method: 'DELETE' }))

  expect(added.status).toBe(201)
  expect(await data(added)).toEqual({ user_id: 'alice', fields_added: ['name', 'location', 'preferences'], last_updated: expect.any(Number), version: 1 })
  expect(updated).toMatchObject({ user_id: 'alice', fields_updated: ['location.city', 'preferences.tags', 'preferences.empty'], version: 2 })
  expect(read).toEqual({
    user_id: 'alice',
    knowledge: { name: 'Ada', location: { city: 'Oslo', zip: 1 }, preferences: { unit: 'F', tags: [2], empty: {} } },
    last_updated: expect.any(Number),
    version: 2
  })
  expect(some).toMatchObject({ fields_deleted: ['preferences.tags', 'name'], version: 3 })
  expect(rest).toMatchObject({ knowledge: { location: { city: 'Oslo', zip: 1 }, preferences: { unit: 'F', empty: {} } } })
  expect(all).toMatchObject({ fields_deleted: ['location', 'preferences'], version: 4 })
  expect(await data(await asAdmin(context))).toMatchObject({ knowledge: {}, version: 4 })
})

test('a field that is there already is a conflict that names it', async ({ asAdmin }) => {
  await asAdmin(context, knowledge({ name: 'Ada' }))
  const res = await asAdmin(context, knowledge({ name: 'Eve', city: 'Oslo' }))

  expect(res.status).toBe(409)
  expect(await res.json()).toMatchObject({ error: { code: 'RESOURCE_CONFLICT', data: { fields: ['name'] } } })
  expect(await data(await asAdmin(context))).toMatchObject({ knowledge: { name: 'Ada' }, version: 1 })
})

test('a change from a stale version is refused and changes nothing', async ({ asAdmin }) => {
  const first = await asAdmin(context, knowledge({ a: 1 }, 'POST', '"0"'))
  const stale = [
    await asAdmin(context, knowledge({ b: 1 }, 'POST', '"0"')),
    await asAdmin(context, knowledge({ a: 2 }, 'PATCH', '"0"')),
    await asAdmin(context, { method: 'DELETE', headers: { 'if-match': '"0"' } })
  ]

  expect(first.status).toBe(201)
  expect(stale.map(({ status }) => status)).toEqual([412, 412, 412])
  expect(await stale[0]?.json()).toMatchObject({ error: { code: 'PRECONDITION_FAILED' } })
  expect(await data(await asAdmin(context))).toMatchObject({ knowledge: { a: 1 }, version: 1 })
  expect((await asAdmin(context, knowledge({ a: 2 }, 'PATCH', '"1"'))).status).toBe(200)
})

test('what is too deep, too large, no object, or meant for prototypes is refused', async ({ asAdmin }) => {
  const nested = (depth: number) => JSON.parse('{"a":'.repeat(depth) + '1' + '}'.repeat(depth)) as object
  const refused = [nested(11), { a: 'x'.repeat(64 * 1024) }, [], 'text', null, { constructor: 1 }, { a: [{ prototype: 1 }] }]
  const deep = await asAdmin(context, { method: 'POST', body: '{"knowledge":' + '{"a":'.repeat(20_000) + '1' + '}'.repeat(20_001) })
  const polluting = await asAdmin(context, { method: 'POST', body: '{"knowledge":{"__proto__":{"polluted":1}}}' })

  expect((await asAdmin(context, knowledge(nested(10)))).status).toBe(201)
  for (const value of refused) expect((await asAdmin(context, knowledge(value, 'PATCH'))).status).toBe(422)
  expect([deep.status, polluting.status]).toEqual([422, 422])
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
})

test('many small changes can not make a context too large', async ({ asAdmin }) => {
  await asAdmin(context, knowledge({ a: 'x'.repeat(40 * 1024) }))

  expect((await asAdmin(context, knowledge({ b: 'x'.repeat(40 * 1024) }))).status).toBe(422)
  expect(await data(await asAdmin(context))).toMatchObject({ version: 1 })
})

test('fields are named with care', async ({ asAdmin }) => {
  await asAdmin(context, knowledge({ 'a.b': 1, a: { b: 2 } }))

  for (const fields of ['', 'a,', ',a']) expect((await asAdmin(`${context}?fields=${fields}`, { method: 'DELETE' })).status).toBe(422)
  expect(await data(await asAdmin(`${context}?fields=a.b,toString,a.constructor`, { method: 'DELETE' }))).toMatchObject({ fields_deleted: ['a.b'] })
  expect(await data(await asAdmin(context))).toMatchObject({ knowledge: { a: { b: 2 } } })
})

test('users are listed with what they said and whether they have a context', async ({ asAdmin, asAlice }) => {
  for (const message of ['one', 'two']) await (await asAlice('/v1/chat', { method: 'POST', body: { message } })).text()
  await asAdmin('/v1/users/Bob@X.org/context', knowledge({ name: 'Bob' }))

  expect(await data(await asAdmin('/v1/users'))).toEqual({
    users: [
      { user_id: 'alice', created_at: expect.any(Number), last_seen_at: expect.any(Number), message_count: 2, has_context: false },
      { user_id: 'bob@x.org', created_at: expect.any(Number), last_seen_at: expect.any(Number), message_count: 0, has_context: true }
    ],
    count: 2
  })
  expect(await data(await asAdmin(context))).toMatchObject({ knowledge: {}, version: 0 })
})

test('a user that nobody knows has no context to read or change', async ({ asAdmin }) => {
  const statuses = [await asAdmin(context), await asAdmin(context, knowledge({ a: 1 }, 'PATCH')), await asAdmin(context, { method: 'DELETE' })]

  expect(statuses.map(({ status }) => status)).toEqual([404, 404, 404])
})
