import { expect } from 'vitest'
import { call, type ContractTest, eventsOf, fresh, leaveMidStream, type Received, requestAtCore, type Target, textOf } from './target.ts'

const counted = (tokens: number) => Array.from({ length: tokens }, (_, at) => `w${at + 1}`).join(' ')

/** Answers piece by piece. */
export function streamCases (test: ContractTest): void {
  test('chat_stream begins with message_start, ends with message_end, and its pieces make the answer', async ({ target }) => {
    const res = await stream(target, { content: 'Count [fake: tokens=10 delay_ms=5]' })
    const events = await eventsOf(res)
    const { id } = events[0]!.data

    expect(res.headers.get('content-type')).toMatch(/^text\/event-stream/)
    expect(res.headers.get('x-request-id')).toMatch(/^req_/)
    expect(namesOf(events)).toEqual(['message_start', 'content', 'message_end'])
    expect(events.map((event) => event.id)).toEqual(events.map((_, at) => `${String(id)}:${at}`))
    expect(events[0]!.data).toMatchObject({ id: expect.stringMatching(/^msg_/), created_at: expect.stringMatching(/Z$/) })
    expect(textOf(events)).toBe(counted(10))
    expect(events.at(-1)!.data).toEqual({ id, agent_id: expect.stringMatching(/^(?:greeter|analyst|agent-\d+)$/) })
    expect(await requestAtCore(target, String(id))).toMatchObject({ status: 'completed' })
  })

  test('agent_chat_stream is answered by the agent that was asked', async ({ target }) => {
    const events = await eventsOf(await stream(target, { content: 'Count [fake: tokens=3]' }, '/api/v1/agents/analyst/chat/stream'))

    expect(textOf(events)).toBe(counted(3))
    expect(events.at(-1)).toMatchObject({ event: 'message_end', data: { agent_id: 'analyst' } })
  })

  test('pieces arrive when the model says them, not at the end', async ({ target }) => {
    const pieces = (await eventsOf(await stream(target, { content: 'Count [fake: tokens=40 delay_ms=50]' }))).filter(({ event }) => event === 'content')
    const gaps = pieces.slice(1).map(({ at }, index) => at - pieces[index]!.at)

    expect(pieces).toHaveLength(40)
    expect(pieces.at(-1)!.at - pieces[0]!.at).toBeGreaterThan(1_500)
    // The real Core hands on what has come every 100 ms.
    expect(gaps.filter((gap) => gap > 20).length).toBeGreaterThan(12)
    expect(Math.max(...gaps)).toBeLessThan(1_000)
  })

  test('an answer that broke off is said again in whole, marked as such', async ({ target }) => {
    const events = await eventsOf(await stream(target, { content: 'Count [fake: tokens=8 cut_after=3]' }))
    const pieces = events.filter(({ event }) => event === 'content').map(({ data }) => data)

    expect(pieces).toEqual([{ content: 'w1' }, { content: ' w2' }, { content: ' w3' }, { content: counted(8), replace: true }])
    expect(events.at(-1)!.event).toBe('message_end')
  })

  test('a plain answer that broke off on the way is whole', async ({ target }) => {
    const res = await call(target, 'user', '/api/v1/chat', { body: { content: 'Count [fake: tokens=8 cut_after=3]', user_id: fresh('alice') } })

    expect(await res.json()).toMatchObject({ agent_response: { content: counted(8) } })
  })

  test('a caller who does not take event streams is refused before the Core is asked', async ({ target }) => {
    const res = await call(target, 'user', '/api/v1/chat/stream', { body: { content: 'x' }, headers: { accept: 'application/json' } })

    expect(res.status).toBe(406)
  })

  test('a stream whose client goes away is cancelled at the Core within a second', async ({ target }) => {
    const id = await leaveMidStream(target, await stream(target, { content: 'Count [fake: tokens=400 delay_ms=50]' }))

    await expect.poll(async () => await requestAtCore(target, id), { timeout: 1_000, interval: 100 }).toMatchObject({ status: 'cancelled' })
  })
}

async function stream (target: Target, body: object, path = '/api/v1/chat/stream'): Promise<Response> {
  return await call(target, 'user', path, { body: { user_id: fresh('alice'), ...body } })
}

/** The names of events in their order, runs of one name as one. */
function namesOf (events: Received[]): string[] {
  return events.map(({ event }) => event).filter((name, at, all) => name !== all[at - 1])
}
