import { expect } from 'vitest'
import { as, test } from '../../app.ts'

const headers = { ...as('user'), 'content-type': 'application/json', 'idempotency-key': 'k1' }
const body = JSON.stringify({ content: '[fake: tokens=30 delay_ms=20]', user_id: 'u1' })

interface Frame { event: string, id: string, data: Record<string, unknown> }

function framesIn (text: string): Frame[] {
  return text.split('\n\n').flatMap((block) => {
    const fields = Object.fromEntries(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]))
    return fields.event === undefined ? [] : [{ event: fields.event, id: fields.id!, data: JSON.parse(fields.data!) as Record<string, unknown> }]
  })
}
const textOf = (frames: Frame[]) => frames.filter(({ event }) => event === 'content').map(({ data }) => data.content).join('')
const whole = Array.from({ length: 30 }, (_, i) => `w${i + 1}`).join(' ')

/** Reads a stream until it has so many frames, then breaks off. */
async function readSome (url: string, count: number, more: Record<string, string> = {}): Promise<Frame[]> {
  const leave = new AbortController()
  const res = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers: { ...headers, ...more }, body, signal: leave.signal })
  let text = ''
  for await (const chunk of res.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    if (framesIn(text.slice(0, text.lastIndexOf('\n\n'))).length >= count) break
  }
  leave.abort()
  return framesIn(text.slice(0, text.lastIndexOf('\n\n')))
}

test('a stream that broke off goes on after the last event, and misses none', async ({ url, core }) => {
  const before = await readSome(url, 8)
  const res = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers: { ...headers, 'last-event-id': before.at(-1)!.id }, body })
  const after = framesIn(await res.text())

  expect(res.status).toBe(200)
  expect([...before, ...after].map(({ id }) => Number(id.split(':')[1]))).toEqual(Array.from({ length: 32 }, (_, i) => i))
  expect(textOf([...before, ...after])).toBe(whole)
  expect(core.calls.filter(({ path }) => path === '/v1/chat')).toHaveLength(1)
})

test('sent again with the same key, a chat is answered from the first, also while it runs', async ({ url, core }) => {
  const [first, second] = await Promise.all([readSome(url, 99), (async () => {
    await expect.poll(() => core.calls.some(({ path }) => path === '/v1/chat')).toBe(true)
    await new Promise((resolve) => setTimeout(resolve, 150))
    return await readSome(url, 99)
  })()])
  const res = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers, body })

  expect(second).toEqual(first)
  expect(framesIn(await res.text())).toEqual(first)
  expect(res.headers.get('idempotent-replayed')).toBe('true')
  expect(textOf(first)).toBe(whole)
  expect(core.calls.filter(({ path }) => path === '/v1/chat')).toHaveLength(1)
})

test('another body under the same key is refused', async ({ url }) => {
  await readSome(url, 99)
  const res = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers, body: JSON.stringify({ content: 'something else', user_id: 'u1' }) })

  expect(res.status).toBe(422)
})

test('nobody resumes the stream of another, nor one that was not kept', async ({ url, core }) => {
  const mine = await readSome(url, 4)
  core.keys.set('sk_other', { scope: 'user' })
  const foreign = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers: { ...headers, authorization: 'Bearer sk_other', 'last-event-id': mine.at(-1)!.id }, body })
  const plain = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers: { ...as('user'), 'content-type': 'application/json' }, body })
  const [start] = framesIn(await plain.text())
  const unkept = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers: { ...headers, 'last-event-id': start!.id }, body })
  const nonsense = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers: { ...headers, 'last-event-id': '9'.repeat(400) }, body })

  expect([foreign.status, unkept.status, nonsense.status]).toEqual([404, 404, 404])
})

test('a chat that fails before it begins may be tried again with its key', async ({ url, core }) => {
  const heal = core.fail({ path: '/v1/chat', status: 503 })
  const failed = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers, body })
  heal()
  const again = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers, body })

  expect(failed.status).toBe(503)
  expect(textOf(framesIn(await again.text()))).toBe(whole)
})

test('a chat with a key outlives its caller; without one it is cancelled within a second', async ({ url, core }) => {
  await readSome(url, 3)
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  expect([...core.requests.values()].map(({ status }) => status)).toEqual(['completed'])

  await readSome(url, 3, { 'idempotency-key': '' }).catch(() => [])
  const leave = new AbortController()
  const plain = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers: { ...as('user'), 'content-type': 'application/json' }, body, signal: leave.signal })
  await plain.body!.getReader().read()
  leave.abort()

  await expect.poll(() => [...core.requests.values()].at(-1)!.status, { timeout: 1_000 }).toBe('cancelled')
})

test('a chat that says nothing ends 10 s after its reader has left', async ({ url, core }) => {
  core.fail({ path: '/v1/chat', silent: true })
  await readSome(url, 1)
  const chat = core.calls.find(({ path }) => path === '/v1/chat')!

  await expect.poll(() => chat.aborted, { timeout: 14_000 }).toBe(true)
})
