import { expect } from 'vitest'
import { call, type ContractTest, errorOf, eventsOf, fresh, textOf } from './target.ts'

const broken = (user = fresh('alice')) => ({ body: { content: 'Count [fake: status=500]', user_id: user } })

/** What a caller sees of a model that fails. */
export function failureCases (test: ContractTest): void {
  test('a stream whose model fails still comes to a proper end', async ({ target }) => {
    const events = await eventsOf(await call(target, 'user', '/api/v1/chat/stream', broken()))
    const last = events.at(-1)!

    // The real Core reports its first failures in prose and calls them an answer; ours says at once what they are.
    expect(last.event).toMatch(target.real ? /^(?:error|message_end)$/ : /^error$/)
    expect(last.event === 'error' || textOf(events).length > 0).toBe(true)
  })

  test('a plain chat whose model fails is core_error', async ({ target }) => {
    const res = await call(target, 'user', '/api/v1/chat', broken())

    expect(res.status).toBe(502)
    expect(await errorOf(res)).toMatchObject({ code: 'core_error', details: { message_id: expect.stringMatching(/^msg_/) } })
  })

  test('a stream whose model fails ends with the same error', async ({ target }) => {
    const res = await call(target, 'user', '/api/v1/chat/stream', broken())
    const events = await eventsOf(res)

    expect(res.status).toBe(200)
    expect(events.map(({ event }) => event)).not.toContain('message_end')
    expect(events.at(-1)).toMatchObject({ event: 'error', data: { error: { code: 'core_error', request_id: res.headers.get('x-request-id') } } })
  })

  test('agents can be read while their model fails', async ({ target }) => {
    expect((await call(target, 'admin', '/api/v1/agents/greeter')).status).toBe(200)
  })
}
