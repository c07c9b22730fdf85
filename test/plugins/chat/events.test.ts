import { readFileSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { tokensIn } from '../../../core/stream.ts'
import type { CoreToken } from '../../../core/types.ts'
import { eventsOf } from '../../../plugins/chat/events.ts'
import { collected } from '../../core/client.ts'

const selected: CoreToken = { type: 'progress', stage: 'agent_selected', selected_agent: 'ada', routing_confidence: 0.9 }
const content = (text: string): CoreToken => ({ type: 'content', content: text })
const completed = (text: string, rest: object = {}): CoreToken => ({ type: 'completed', content: text, status: 'success', agent_used: 'ada', ...rest })

async function eventsFrom (tokens: CoreToken[]) {
  async function * source () { yield * tokens }
  const { items, error } = await collected(eventsOf(source(), 'msg_1'))
  return { events: items.map(({ event, data }) => event === 'message_start' ? { event, data: { ...data, created_at: 'now' } } : { event, data }), error }
}
const start = (rest: object = { agent_id: 'ada', routing_confidence: 0.9 }) => ({ event: 'message_start', data: { id: 'msg_1', created_at: 'now', ...rest } })
const piece = (text: string, rest: object = {}) => ({ event: 'content', data: { content: text, ...rest } })
const end = { event: 'message_end', data: { id: 'msg_1', agent_id: 'ada' } }

test('an answer is a start, its pieces, an end', async () => {
  expect(await eventsFrom([{ type: 'progress', stage: 'init' }, selected, content('a'), content(''), content(' b'), completed('a b')])).toEqual({
    events: [start(), piece('a'), piece(' b'), end], error: undefined
  })
})

test('an answer without pieces is given once, at the end', async () => {
  expect((await eventsFrom([selected, completed('all of it')])).events).toEqual([start(), piece('all of it'), end])
  expect((await eventsFrom([selected, content(''), completed('all of it')])).events).toEqual([start(), piece('all of it'), end])
  expect((await eventsFrom([selected, completed('')])).events).toEqual([start(), end])
})

test('pieces that the Core takes back are replaced', async () => {
  expect((await eventsFrom([selected, content('a'), completed('all of it', { stream_discontinuity: true })])).events).toEqual([start(), piece('a'), piece('all of it', { replace: true }), end])
})

test('a tool call is a start and an end', async () => {
  const calls: CoreToken[] = [
    { type: 'tool_call_start', tool_call: { id: 'c1', name: 'calculator', parameters: { expression: '6 * 7' } } },
    { type: 'tool_call_end', tool_call: { id: 'c1', output: { result: 42 } } },
    { type: 'tool_call_start', tool_call: { id: 'c2', name: 'calculator' } },
    { type: 'tool_call_end', tool_call: { id: 'c2', error: { code: 'division_by_zero' } } }
  ]

  expect((await eventsFrom([selected, ...calls, completed('')])).events.slice(1, -1)).toEqual([
    { event: 'tool_call_start', data: { id: 'c1', name: 'calculator', parameters: { expression: '6 * 7' } } },
    { event: 'tool_call_end', data: { id: 'c1', output: { result: 42 } } },
    { event: 'tool_call_start', data: { id: 'c2', name: 'calculator', parameters: {} } },
    { event: 'tool_call_end', data: { id: 'c2', error: { code: 'division_by_zero', message: 'the tool failed' } } }
  ])
})

test('tokens of an unknown type say nothing and begin nothing', async () => {
  expect((await eventsFrom([{ type: 'martian', content: '?' }, selected, { type: 'martian' }, content('a'), completed('a')])).events).toEqual([start(), piece('a'), end])
})

test('an answer of which the agent is not named begins with its first piece', async () => {
  expect((await eventsFrom([content('a'), completed('a', { agent_used: undefined })])).events).toEqual([start({}), piece('a'), { event: 'message_end', data: { id: 'msg_1' } }])
})

test.for([
  { type: 'failed', content: 'Traceback' }, { type: 'cancelled' }, { type: 'completed', status: 'error', content: 'I apologize' }
] as CoreToken[])('$type with status $status is core_error, and its words stay inside', async (token) => {
  const { events, error } = await eventsFrom([selected, content('a'), token])

  expect(events).toEqual([start(), piece('a')])
  expect(error).toMatchObject({ code: 'core_error', message: 'the agent could not answer', details: { message_id: 'msg_1' } })
})

test('an answer that just stops is core_error', async () => {
  expect((await eventsFrom([selected, content('a')])).error).toMatchObject({ code: 'core_error' })
})

describe('in time', () => {
  /** Tokens that come when they are told to. */
  function createTokens () {
    const waiting: { resolve: (result: IteratorResult<CoreToken>) => void, reject: (error: unknown) => void }[] = []
    const queue = { released: 0, asked: 0 }
    const iterable: AsyncIterable<CoreToken> = {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          queue.asked++
          return await new Promise<IteratorResult<CoreToken>>((resolve, reject) => { waiting.push({ resolve, reject }) })
        },
        return: async () => {
          queue.released++
          return { done: true, value: undefined }
        }
      })
    }
    return {
      queue,
      iterable,
      give: (token: CoreToken) => { waiting.shift()!.resolve({ done: false, value: token }) },
      end: () => { waiting.shift()!.resolve({ done: true, value: undefined }) },
      fail: (error: Error) => { waiting.shift()?.reject(error) }
    }
  }

  test('a start comes after a second, when nothing else does', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { iterable, give } = createTokens()
    const events = eventsOf(iterable, 'msg_1')
    const first = events.next()
    await vi.advanceTimersByTimeAsync(1_001)
    vi.useRealTimers()
    expect((await first).value).toMatchObject({ event: 'message_start', data: { id: 'msg_1' } })
    const second = events.next()
    give(content('late'))

    expect((await second).value).toEqual(piece('late'))
  })

  test('steps that say nothing do not put the start off', async () => {
    const { iterable, give, queue } = createTokens()
    const began = performance.now()
    const first = eventsOf(iterable, 'msg_1').next()
    const steps = setInterval(() => { if (queue.asked > 0) give({ type: 'progress' }) }, 50)
    await first
    clearInterval(steps)

    expect(performance.now() - began).toBeGreaterThan(900)
    expect(performance.now() - began).toBeLessThan(1_500)
  })

  test('the source is let go of after the answer, after a failure, and when nobody reads on', async () => {
    const released: number[] = []
    for (const token of [completed('a'), { type: 'failed' }]) {
      const { iterable, give, end, queue } = createTokens()
      const reading = collected(eventsOf(iterable, 'msg_1'))
      give(token)
      if (token.type === 'completed') {
        await vi.waitFor(() => { expect(queue.asked).toBe(2) }, 20_000)
        end()
      }
      await reading
      released.push(queue.released)
    }
    const { iterable, give, queue } = createTokens()
    const events = eventsOf(iterable, 'msg_1')
    const first = events.next()
    give(selected)
    await first
    await events.return()
    released.push(queue.released)

    expect(released).toEqual([1, 1, 1])
  })

  test('a source that breaks while nobody asks is no unhandled rejection', async () => {
    const unhandled: unknown[] = []
    const note = (reason: unknown) => { unhandled.push(reason) }
    process.on('unhandledRejection', note)
    const late = createTokens()
    const events = eventsOf(late.iterable, 'msg_1')
    await events.next()
    late.fail(new Error('reset'))
    const spoken = createTokens()
    const others = eventsOf(spoken.iterable, 'msg_2')
    const first = others.next()
    spoken.give(selected)
    await first
    spoken.fail(new Error('reset'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    process.off('unhandledRejection', note)

    expect(unhandled).toEqual([])
    await expect(events.next()).rejects.toThrow('reset')
  })
})

test.for([
  ['chat-stream', ['w1', ' w2', ' w3', ' w4', ' w5'], undefined],
  ['chat-stream-cut', ['w1', ' w2', ' w3', 'replaced: w1 w2 w3 w4 w5'], undefined],
  ['chat-stream-apology', [], 'core_error']
] as const)('%s of the real Core is understood', async ([name, pieces, code]) => {
  async function * body () { yield readFileSync(new URL(`../../core/samples/${name}.sse`, import.meta.url)) }
  const { items, error } = await collected(eventsOf(tokensIn(body(), { maxFrame: 65_536, onMalformed: () => {} }), 'msg_1'))

  expect(items.flatMap(({ event, data }) => event === 'content' ? (data.replace === true ? 'replaced: ' : '') + data.content : [])).toEqual(pieces)
  expect((error as { code?: string } | undefined)?.code).toBe(code)
})
