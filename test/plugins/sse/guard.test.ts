import { expect, test, vi } from 'vitest'
import type { EventMessage } from 'fastify-sse-v2'
import { guard, type SseEvent } from '../../../plugins/sse/guard.ts'

const event = (content: string): SseEvent => ({ event: 'content', id: `m:${content}`, data: { content } })
const written = (content: string) => ({ event: 'content', id: `m:${content}`, data: JSON.stringify({ content }) })

/** A source that gives an event when it is told to, and says when it was let go. */
function createSource () {
  const waiting: { resolve: (result: IteratorResult<SseEvent>) => void, reject: (error: unknown) => void }[] = []
  const source = {
    asked: 0,
    released: 0,
    next: async () => {
      source.asked++
      return await new Promise<IteratorResult<SseEvent>>((resolve, reject) => { waiting.push({ resolve, reject }) })
    },
    return: async () => {
      source.released++
      return { done: true as const, value: undefined }
    },
    give: (content: string) => { waiting.shift()!.resolve({ done: false, value: event(content) }) },
    end: () => { waiting.shift()!.resolve({ done: true, value: undefined }) },
    fail: (error: unknown) => { waiting.shift()!.reject(error) }
  }
  return source
}

function watch (source: AsyncIterator<SseEvent>, { isEmpty = false, signal = new AbortController().signal, heartbeatMs = 60_000 } = {}) {
  const ends: number[] = []
  const stream = guard(source, isEmpty ? { done: true, value: undefined } : { done: false, value: event('0') }, {
    signal,
    heartbeatMs,
    onSend: () => {},
    whileAllowed: () => () => {},
    onEnd: () => { ends.push(1) },
    onError: (error) => ({ event: 'error', data: { message: (error as Error).message } })
  })
  return { ends, iterator: stream[Symbol.asyncIterator]() }
}

/** What an iterator gives until it ends. */
async function all (iterator: AsyncIterator<EventMessage>): Promise<EventMessage[]> {
  const messages: EventMessage[] = []
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) messages.push(next.value)
  return messages
}

test('events pass in order, each once, with the first in front', async () => {
  async function * source () {
    for (const content of ['1', '2', '3']) yield event(content)
  }
  const { iterator, ends } = watch(source())

  expect(await all(iterator)).toEqual(['0', '1', '2', '3'].map(written))
  expect(ends).toHaveLength(1)
  expect((await iterator.next()).done).toBe(true)
})

test('a source that throws ends with an error event', async () => {
  const source = createSource()
  const { iterator, ends } = watch(source)
  const messages = all(iterator)
  await vi.waitFor(() => expect(source.asked).toBe(1))
  source.fail(new Error('broke'))

  expect(await messages).toEqual([written('0'), { event: 'error', data: '{"message":"broke"}' }])
  expect(ends).toHaveLength(1)
})

test('an abort ends the stream and lets go of the source, once', async () => {
  const source = createSource()
  const leaving = new AbortController()
  const { iterator, ends } = watch(source, { signal: leaving.signal })
  const messages = all(iterator)
  await vi.waitFor(() => expect(source.asked).toBe(1))
  leaving.abort()
  source.fail(new Error('gone'))

  expect(await messages).toEqual([written('0')])
  expect([ends.length, source.released]).toEqual([1, 1])
})

test('an abort before the first event was read leaves nothing behind', async () => {
  const source = createSource()
  const { iterator, ends } = watch(source, { signal: AbortSignal.abort() })

  expect(await all(iterator)).toEqual([])
  expect([ends.length, source.released, source.asked]).toEqual([1, 1, 0])
})

test('a source that is empty ends at once', async () => {
  const { iterator, ends } = watch(createSource(), { isEmpty: true })

  expect(await all(iterator)).toEqual([])
  expect(ends).toHaveLength(1)
})

test('a silence has a comment in it, and costs no event', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const source = createSource()
  const { iterator } = watch(source, { heartbeatMs: 15_000 })
  await iterator.next()
  const messages: (EventMessage | undefined)[] = []
  for (let silence = 0; silence < 3; silence++) {
    const next = iterator.next()
    // The first beat after an event finds no silence yet.
    vi.advanceTimersByTime(30_000)
    messages.push((await next).value)
  }
  const next = iterator.next()
  source.give('1')
  messages.push((await next).value)
  vi.useRealTimers()

  expect(messages).toEqual([...Array(3).fill({ comment: ' heartbeat' }), written('1')])
  expect(source.asked).toBe(1)
})

test('a stream that speaks has no comment in it', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const source = createSource()
  const { iterator } = watch(source, { heartbeatMs: 15_000 })
  await iterator.next()
  const messages: unknown[] = []
  for (const content of ['1', '2', '3', '4']) {
    const next = iterator.next()
    vi.advanceTimersByTime(14_000)
    source.give(content)
    messages.push((await next).value)
  }
  vi.useRealTimers()

  expect(messages).toEqual(['1', '2', '3', '4'].map(written))
})

test.for([
  { event: 'a\ndata: x', data: 1 }, { event: 'a', id: 'b\nevent: admin', data: 1 }, { event: 'a', id: '\0', data: 1 }, { event: '', data: 1 }, { event: 'Ä', data: 1 }, { event: 'a', id: 'x'.repeat(129), data: 1 }
])('no name or id passes that could break a line: %j', async (bad) => {
  async function * source () { yield bad }
  const { iterator, ends } = watch(source())
  const [, last, ...rest] = await all(iterator)

  expect(last).toMatchObject({ event: 'error' })
  expect(rest).toEqual([])
  expect(ends).toHaveLength(1)
})
