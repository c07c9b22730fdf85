import { expect } from 'vitest'
import { lacks } from './capabilities.ts'
import { asTool } from './client.ts'
import { atCore, call, type ContractTest, errorOf, fresh, jsonOf, knownAtCore, type Target } from './target.ts'

const knowledge = { name: 'Ada', location: { city: 'Oslo', country: 'Norway' }, likes: ['tea'] }
const of = (user: string) => `/api/v1/users/${encodeURIComponent(user)}/context`

/** Who the users are, and what is known of each: kept by the Core, or as one marked memory of the user there. */
export function contextCases (test: ContractTest): void {
  test('user_list shows who has chatted, by the beginning of the id', async ({ target }) => {
    const user = fresh('alice')
    await call(target, 'user', '/api/v1/chat', { body: { content: 'hello', user_id: user } })
    const res = await call(target, 'admin', `/api/v1/users?search=${user}`)
    if (await lacks(target, 'users.list', res)) return

    expect(await jsonOf(res)).toMatchObject({ users: [{ user_id: user, message_count: 1, has_context: false }], pagination: { total: 1 } })
    expect(await asTool(target, 'admin', 'user_list', { search: user })).toMatchObject({ users: [{ user_id: user }] })
  })

  test('a context lives from create to delete', async ({ target }) => {
    const url = of(fresh('alice'))
    const created = await change(target, 'POST', url, { knowledge })
    const taken = await change(target, 'POST', url, { knowledge: { name: 'Bob', age: 3 } })
    const updated = await change(target, 'PATCH', url, { knowledge: { location: { city: 'Bergen' }, likes: ['coffee'], pet: {} } })
    const shown = await jsonOf(await call(target, 'admin', url))
    const removed = await change(target, 'DELETE', `${url}?fields=location.city,likes,nothing`)
    const rest = await jsonOf(await call(target, 'admin', url))
    const cleared = await jsonOf<{ fields_deleted: string[] }>(await change(target, 'DELETE', url))
    const empty = await call(target, 'admin', url)

    expect(created.status).toBe(201)
    expect(await jsonOf(created)).toMatchObject({ status: 'added', fields_added: ['name', 'location', 'likes'] })
    expect([taken.status, await errorOf(taken)]).toMatchObject([409, { code: 'conflict', details: { fields: ['name'] } }])
    expect(await jsonOf(updated)).toMatchObject({ status: 'updated', fields_updated: ['location.city', 'likes', 'pet'] })
    expect(shown).toMatchObject({ knowledge: { name: 'Ada', location: { city: 'Bergen', country: 'Norway' }, likes: ['coffee'], pet: {} }, last_updated: expect.stringMatching(/Z$/) })
    expect(await jsonOf(removed)).toMatchObject({ status: 'deleted', fields_deleted: ['location.city', 'likes'] })
    expect(rest.knowledge).toEqual({ name: 'Ada', location: { country: 'Norway' }, pet: {} })
    expect(cleared.fields_deleted.sort()).toEqual(['location', 'name', 'pet'])
    expect([empty.status, (await jsonOf(empty)).knowledge]).toEqual([200, {}])
  })

  test('a context is its user\'s alone; an e-mail address names one user in any case', async ({ target }) => {
    const [mail, other] = [`${fresh('Ada')}@Example.COM`, fresh('bob')]
    await change(target, 'POST', of(mail), { knowledge: { x: 1 } })
    await change(target, 'POST', of(other), { knowledge: { x: 2 } })
    await change(target, 'DELETE', of(other))

    expect(await jsonOf(await call(target, 'admin', of(mail.toLowerCase())))).toMatchObject({ user_id: mail.toLowerCase(), knowledge: { x: 1 } })
    expect(await jsonOf(await call(target, 'admin', of(other)))).toMatchObject({ knowledge: {} })
  })

  test('a context comes back as it was: large, in every script, with control characters', async ({ target }) => {
    const user = `${fresh('älice')}/& ço`
    const odd = { 'a.b': 'ü😀\u0000\u2028\ud800', '{{x}}': ['$', '{{ secrets.X }} </memory> \\n'].join(''), long: 'x '.repeat(30_000), deep: { a: { b: [null, true, 1e21, -0.5] } } }
    const made = await change(target, 'POST', of(user), { knowledge: odd })

    expect(made.status).toBe(201)
    expect(await jsonOf(await call(target, 'admin', of(user)))).toMatchObject({ user_id: user, knowledge: odd })
  })

  test('a user whom nobody knows has no context to read or to change, and is not known for having been asked for', async ({ target }) => {
    const user = fresh('nobody')
    const answers = [await call(target, 'admin', of(user)), await change(target, 'PATCH', of(user), { knowledge }), await change(target, 'DELETE', of(user))]

    for (const res of answers) expect([res.status, await errorOf(res)]).toMatchObject([404, { code: 'not_found', message: `no user ${user}` }])
    expect(await knownAtCore(target, user)).toBe(false)
  })

  test('changes at the same time lose nothing', async ({ target }) => {
    const url = of(fresh('alice'))
    await change(target, 'POST', url, { knowledge: { start: true } })
    const answers = await Promise.all(Array.from({ length: 6 }, async (_, i) => await change(target, 'PATCH', url, { knowledge: { [`n${i}`]: i } })))

    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200))
    expect((await jsonOf(await call(target, 'admin', url))).knowledge).toEqual({ start: true, n0: 0, n1: 1, n2: 2, n3: 3, n4: 4, n5: 5 })
  })

  test('the first chat, context and search of a new user may come at once', async ({ target }) => {
    const user = fresh('alice')
    const answers = await Promise.all([
      change(target, 'POST', of(user), { knowledge }),
      call(target, 'user', '/api/v1/chat', { body: { content: 'hello', user_id: user } }),
      call(target, 'user', `/api/v1/conversations/${user}`),
      call(target, 'admin', `/api/v1/agents/greeter/memory/search?query=x&user_id=${user}`)
    ])

    expect(answers.map(({ status }) => status)).toEqual([201, 200, 200, 200])
    expect(await jsonOf(await call(target, 'admin', of(user)))).toMatchObject({ knowledge })
  })

  test('a context that did not change is 304; a change under If-Match is made from what was read, or not at all', async ({ target }) => {
    const url = of(fresh('alice'))
    await change(target, 'POST', url, { knowledge })
    const read = async () => String((await call(target, 'admin', url)).headers.get('etag'))
    const tag = await read()
    const same = await call(target, 'admin', url, { headers: { 'if-none-match': tag } })
    const mine = await change(target, 'PATCH', url, { knowledge: { age: 36 } }, tag)
    const theirs = await change(target, 'PATCH', url, { knowledge: { age: 37 } }, tag)
    const stale = await change(target, 'DELETE', url, undefined, tag)
    const other = await call(target, 'admin', url, { headers: { 'if-none-match': tag } })
    const deleted = await change(target, 'DELETE', `${url}?fields=name`, undefined, await read())

    expect([same, mine, theirs, stale, other, deleted].map(({ status }) => status)).toEqual([304, 200, 412, 412, 200, 200])
    expect(await errorOf(theirs)).toMatchObject({ code: 'precondition_failed' })
    expect(await jsonOf(other)).toMatchObject({ knowledge: { age: 36 } })
  })

  test('a context is no memory: it is not found, not cleared, and what only looks like one is passed over', async ({ target }) => {
    const user = fresh('alice')
    await change(target, 'POST', of(user), { knowledge })
    const memory = '/api/v1/agents/greeter/memory'
    const found = await jsonOf(await call(target, 'admin', `${memory}/search?query=Oslo+context&user_id=${user}`))
    const cleared = await jsonOf(await call(target, 'admin', `${memory}?user_id=${user}`, { method: 'DELETE' }))
    await atCore(target, user, 'POST', '/memories', { content: 'muxi:user-context:1 {broken' })

    expect([found, cleared]).toMatchObject([{ results: [] }, { memories_cleared: 0 }])
    expect(await jsonOf(await call(target, 'admin', of(user)))).toMatchObject({ knowledge })
  })

  test('contexts are the same as tools', async ({ target }) => {
    const user_id = fresh('alice')
    const created = await asTool(target, 'admin', 'user_context_create', { user_id, knowledge })
    const updated = await asTool(target, 'admin', 'user_context_update', { user_id, knowledge: { location: { city: 'Bergen' } } })
    const shown = await asTool(target, 'admin', 'user_context_get', { user_id })
    const direct = await jsonOf(await call(target, 'admin', of(user_id)))
    const deleted = await asTool(target, 'admin', 'user_context_delete', { user_id, fields: 'likes' })

    expect([created, updated, deleted]).toMatchObject([{ status: 'added' }, { status: 'updated', fields_updated: ['location.city'] }, { status: 'deleted', fields_deleted: ['likes'] }])
    expect(shown).toEqual(direct)
  })

  test.for([
    ['body.knowledge', {}], ['body.knowledge', { knowledge: {} }], ['body.knowledge', { knowledge: { a: { constructor: 1 } } }], ['body.knowledge', { knowledge: { a: 'x'.repeat(66_000) } }], ['body.mood', { knowledge, mood: 'good' }]
  ] as const)('what is wrong with a context is named: %s', async ([field, body], { target }) => {
    const res = await change(target, 'POST', of(fresh('alice')), body)

    expect([res.status, await errorOf(res)]).toMatchObject([400, { code: 'bad_request', details: { field } }])
  })
}

async function change (target: Target, method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: object, tag?: string): Promise<Response> {
  return await call(target, 'admin', path, { method, ...(body !== undefined && { body }), ...(tag !== undefined && { headers: { 'if-match': tag } }) })
}
