import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { tokensIn } from '../../core/stream.ts'
import type { CoreToken } from '../../core/types.ts'
import { collected } from './client.ts'

const sample = (name: string) => readFileSync(new URL(`samples/${name}.sse`, import.meta.url))
const frame = (token: object) => `data: ${JSON.stringify({ token })}\n\n`
const done = 'event: done\ndata: {"finished":true}\n\n'
const finished = frame({ type: 'completed', content: 'all', agent_used: 'ada' }) + done

/** Reads a stream that comes in these pieces. */
async function read (chunks: Iterable<string | Uint8Array>, maxFrame = 65_536) {
  let malformed = 0
  async function * body () {
    for (const chunk of chunks) yield Buffer.from(chunk)
  }
  const { items, error } = await collected(tokensIn(body(), { maxFrame, onMalformed: () => { malformed++ } }))
  return { tokens: items, error, malformed, text: textOf(items) }
}

function textOf (tokens: CoreToken[]): string {
  return tokens.filter(({ type }) => type === 'content').map(({ content }) => content).join('')
}

describe('a stream of the real Core', () => {
  test('gives its tokens in order, to the one that ends the answer', async () => {
    const { tokens, text, error, malformed } = await read([sample('chat-stream')])

    expect(tokens.map(({ type }) => type)).toEqual(['progress', 'thinking', 'planning', 'progress', 'progress', 'planning', 'progress', 'progress', 'content', 'content', 'content', 'content', 'content', 'completed'])
    expect(tokens.find(({ selected_agent: agent }) => agent !== undefined)).toMatchObject({ stage: 'agent_selected', selected_agent: 'greeter' })
    expect(tokens.at(-1)).toMatchObject({ content: 'w1 w2 w3 w4 w5', status: 'success', agent_used: 'greeter' })
    expect({ text, error, malformed }).toEqual({ text: 'w1 w2 w3 w4 w5', error: undefined, malformed: 0 })
  })

  test('may say that what came before does not count', async () => {
    const { tokens, text } = await read([sample('chat-stream-cut')])

    expect(text).toBe('w1 w2 w3')
    expect(tokens.at(-1)).toMatchObject({ type: 'completed', content: 'w1 w2 w3 w4 w5', stream_discontinuity: true })
  })

  test('may apologize', async () => {
    expect((await read([sample('chat-stream-apology')])).tokens.at(-1)).toMatchObject({ type: 'completed', status: 'error' })
    expect((await read([sample('chat-stream-llm-500')])).tokens.at(-1)).toMatchObject({ type: 'completed' })
    expect((await read([sample('chat-stream-llm-503')])).error).toBeUndefined()
  })

  test('reads the same with CRLF, and with CR alone', async () => {
    const { tokens } = await read([sample('chat-stream')])
    for (const end of ['\r\n', '\r']) {
      expect(await read([sample('chat-stream').toString().replaceAll('\n', end) + '\n'])).toMatchObject({ tokens, error: undefined, malformed: 0 })
    }
  })
})

test('a stream may be split at every byte, characters of many bytes and line ends included', async () => {
  const bytes = Buffer.from(`: keepalive\r\n\r\n${frame({ type: 'content', content: 'Zoë 用户 🦊' }).replaceAll('\n', '\r\n')}${frame({ type: 'content', content: '\u2028"\n' })}${finished}`)
  const whole = await read([bytes])
  for (let at = 1; at < bytes.length; at++) {
    expect(await read([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(whole)
  }
  const bytewise = await read([...bytes].map((byte) => Buffer.of(byte)))

  expect(bytewise).toEqual(whole)
  expect(whole).toMatchObject({ text: 'Zoë 用户 🦊\u2028"\n', error: undefined, malformed: 0 })
})

test('many frames in one piece are many tokens', async () => {
  const { tokens } = await read([Array.from({ length: 500 }, (_, at) => frame({ type: 'content', content: `${at} ` })).join('') + finished])

  expect(textOf(tokens)).toBe(Array.from({ length: 500 }, (_, at) => `${at} `).join(''))
})

test('frames that cannot be read are passed over and counted', async () => {
  const bad = ['data: {"token":{"type":"content","content":"brok\n\n', 'data: [1,2]\n\n', 'data: null\n\n', 'data: 5\n\n', 'data: {"token":5}\n\n', 'data: {"token":{"type":7}}\n\n', 'data: {"token":{"type":"content","content":{}}}\n\n', 'data: \n\n', 'event: ui\ndata: {}\n\n']
  const { text, malformed, error } = await read([bad.join(frame({ type: 'content', content: 'w ' })), finished])

  expect({ text, malformed, error }).toEqual({ text: 'w '.repeat(bad.length - 1), malformed: bad.length, error: undefined })
})

test('keep-alives, unknown fields, retry and ids are nothing', async () => {
  const { tokens, malformed } = await read([': keepalive\n\n\n\nretry: soon\nretry: 5\nid: 7\nfoo: bar\nnonsense\n\n', finished])

  expect(tokens).toHaveLength(1)
  expect(malformed).toBe(0)
})

test('a byte order mark is nothing', async () => {
  expect((await read([Buffer.from([0xef, 0xbb, 0xbf]), finished])).tokens).toHaveLength(1)
})

test('a frame may end in a backslash and an n', async () => {
  const { text, malformed } = await read(['data: {"token":{"type":"content","content":"a\\\\n"}}\\n\\n\n\n', 'data: {"token":{"type":"content","content":"b"}}\\n\n\n', finished])

  expect({ text, malformed }).toEqual({ text: 'a\\nb', malformed: 0 })
})

test('a frame that is too large is core_error, in one piece or many', async () => {
  const large = frame({ type: 'content', content: 'x'.repeat(70_000) })
  const many = Array.from({ length: 70 }, (_, at) => large.slice(at * 1_000, (at + 1) * 1_000))
  for (const chunks of [many, [...many.slice(0, -1), finished], ['data: x\n'.repeat(40_000)]]) {
    expect(await read(chunks)).toMatchObject({ tokens: [], error: { code: 'core_error', message: 'the MUXI Core sent a frame that is too large' } })
  }
})

test('event: error is core_error, and what it says stays inside', async () => {
  const { text, error } = await read([frame({ type: 'content', content: 'half' }), 'event: error\ndata: {"error":"INSERT INTO users","type":"IntegrityError"}\n\n'])

  expect(text).toBe('half')
  expect(error).toMatchObject({ code: 'core_error', message: 'the MUXI Core failed while it answered', details: undefined })
})

test('an end before the answer is core_unavailable', async () => {
  for (const chunks of [[], [': keepalive\n\n'], [frame({ type: 'content', content: 'half' })], [frame({ type: 'content', content: 'half' }), 'data: {"tok']]) {
    expect((await read(chunks)).error).toMatchObject({ code: 'core_unavailable', retryAfter: 1 })
  }
})

test('done before the answer is core_error', async () => {
  expect((await read([frame({ type: 'content', content: 'half' }), done])).error).toMatchObject({ code: 'core_error' })
})

test.for(['completed', 'failed', 'cancelled'])('nothing counts after %s: no token, no error, no missing done', async (type) => {
  const last = frame({ type, content: 'all' })
  async function * breaking () {
    yield Buffer.from(last)
    throw new Error('reset')
  }
  const broken = await collected(tokensIn(breaking(), { maxFrame: 65_536, onMalformed: () => {} }))

  expect(broken).toMatchObject({ items: [{ type }] })
  expect(broken.error).toBeUndefined()
  for (const rest of ['', done, frame({ type: 'content', content: 'late' }) + done, 'event: error\ndata: {}\n\n', last]) {
    expect(await read([last + rest])).toMatchObject({ tokens: [{ type }], error: undefined })
  }
})
