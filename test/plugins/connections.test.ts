import type { FastifyRequest } from 'fastify'
import { describe, expect, test as plain } from 'vitest'
import { createMemoryCluster } from '../../plugins/cluster/memory.ts'
import { createSeal } from '../../plugins/cluster/seal.ts'
import { createQuestions } from '../../plugins/connections/questions.ts'
import { Registry, type Opened } from '../../plugins/connections/registry.ts'
import type { Kind } from '../../schemas/connections.ts'
import { start } from '../../server.ts'
import { configFor, test } from '../app.ts'

const ada = { digest: 'ada', key: 'ada', address: '203.0.113.7' }
const bob = { ...ada, digest: 'bob', key: 'bob' }
const registryOf = (most = 2) => new Registry({ instance: '9f1c2d3e', most: () => most })

/** A stream that notes how it is ended. */
function opened (kind: Kind, told: string[] = []): Opened {
  return { kind, look: () => ({ events: 3, bytes: 120 }), end: (reason) => { told.push(reason) } }
}

describe('the streams of one instance', () => {
  plain('are listed as they are at that moment, the oldest first, until they are removed', () => {
    const registry = registryOf()
    let events = 0
    const first = registry.add(ada, { ...opened('log_stream'), filter: { level: 'warn' }, look: () => ({ cursor: `e.${events}`, lag: 1, events, bytes: 9 }) })
    const second = registry.add(bob, opened('chat_stream'))
    events = 7
    const both = registry.list({}).connections
    first.remove()
    first.remove()

    expect(both).toEqual([
      { id: first.id, kind: 'log_stream', instance: '9f1c2d3e', key: 'ada', address: '203.0.113.7', since: expect.stringMatching(/Z$/), filter: { level: 'warn' }, cursor: 'e.7', lag: 1, events: 7, bytes: 9 },
      { id: second.id, kind: 'chat_stream', instance: '9f1c2d3e', key: 'bob', address: '203.0.113.7', since: expect.any(String), events: 3, bytes: 120 }
    ])
    expect(registry.list({}).connections.map(({ id }) => id)).toEqual([second.id])
    expect([registry.size, registry.counts]).toEqual([1, { log_stream: 0, trace_stream: 0, chat_stream: 1, mcp: 0, rtc_stream: 0, socket: 0 }])
  })

  plain('are paged by id: each once, whatever opens and ends meanwhile', () => {
    const registry = registryOf(1_000)
    const handles = Array.from({ length: 25 }, () => registry.add(ada, opened('log_stream')))
    const seen: string[] = []
    let after = ''
    for (let left = 1; left > 0;) {
      const page = registry.list({ limit: 10, after })
      seen.push(...page.connections.map(({ id }) => id))
      left = page.left - page.connections.length
      after = seen.at(-1)!
      handles[seen.length - 1]!.remove()
    }

    expect(seen).toEqual(handles.map(({ id }) => id))
  })

  plain('are found by kind and key', () => {
    const registry = registryOf()
    registry.add(ada, opened('log_stream'))
    registry.add(ada, opened('trace_stream'))
    registry.add(bob, opened('log_stream'))

    expect([registry.list({ kind: 'log_stream' }).total, registry.list({ key: 'ada' }).total, registry.list({ kind: 'trace_stream', key: 'bob' }).total]).toEqual([2, 2, 0])
  })

  plain('a key that holds as many log and trace streams as it may gets no other, and loses none; chats and other keys are free', () => {
    const registry = registryOf(2)
    const told: string[] = []
    const first = registry.add(ada, opened('log_stream', told))
    registry.add(ada, opened('trace_stream', told))
    for (let i = 0; i < 5; i++) registry.add(ada, opened('chat_stream'))

    expect(() => registry.add(ada, opened('log_stream'))).toThrow(expect.objectContaining({ code: 'rate_limited', retryAfter: 30, details: { limit: 2, retry_after: 30 } }))
    expect(registry.add(bob, opened('log_stream')).id).toMatch(/^con_[a-z0-9]{16}$/)
    expect([told, registry.size]).toEqual([[], 8])
    first.remove()
    expect(registry.add(ada, opened('log_stream')).id).toMatch(/^con_/)
  })

  plain('are told of the end in slices, each once, and nobody is waited for when all have gone', async () => {
    const registry = registryOf(1_000)
    const told: string[] = []
    const ended: string[] = []
    for (let i = 0; i < 400; i++) {
      const handle = registry.add(ada, { ...opened('log_stream'), end: (reason) => { told.push(reason); handle.remove(); ended.push(handle.id) } })
    }
    const draining = registry.drain(200)
    const atOnce = told.length
    await draining
    const began = performance.now()
    await registry.drain(60_000)

    expect(atOnce).toBe(20)
    expect([told.length, new Set(ended).size, registry.size]).toEqual([400, 400, 0])
    expect(performance.now() - began).toBeLessThan(1_000)
  })

  plain('one that opens while they are ended is told, too; one that was told may still be closed', async () => {
    const registry = registryOf()
    const told: string[] = []
    await registry.drain(0)
    const { id } = registry.add(ada, opened('log_stream', told))
    await expect.poll(() => told).toEqual(['shutdown'])
    await registry.drain(0)

    expect([registry.close(id), registry.close('con_unknown'), told]).toEqual([true, false, ['shutdown', 'closed']])
  })
})

describe('questions to the other instances', () => {
  /** Instances on what one memory holds. */
  const instances = (ids: string[], answerTo: (id: string) => (question: string) => unknown, members = ids) => {
    const shared = createMemoryCluster()
    const seal = createSeal(Buffer.alloc(32, 7))
    const all = ids.map((id) => createQuestions({ cluster: { ...shared, id, members: async () => members }, seal }, 'questions', answerTo(id)))
    return { all, first: all[0]!, shared, close: () => { for (const one of all) one.close() } }
  }

  plain('are answered by each but the one that asks', async () => {
    const { first, close } = instances(['a', 'b', 'c'], (id) => (question) => `${id} ${question}`)
    const { answers, silent } = await first.ask('here')
    close()

    expect([answers.toSorted(), silent]).toEqual([['b here', 'c here'], []])
  })

  plain('wait half a second for one that is silent, and name it', async () => {
    const { first, close } = instances(['a', 'b'], () => () => 'yes', ['a', 'b', 'gone'])
    const began = performance.now()
    const { answers, silent } = await first.ask('here')
    close()

    expect([answers, silent]).toEqual([['yes'], ['gone']])
    expect(performance.now() - began).toBeGreaterThanOrEqual(500)
  })

  plain('end with the first answer that is enough', async () => {
    const { first, close } = instances(['a', 'b'], () => () => 'yes', ['a', 'b', 'gone'])
    const began = performance.now()
    await first.ask('here', (answer) => answer === 'yes')
    close()

    expect(performance.now() - began).toBeLessThan(500)
  })

  plain('are answered again after the topic began another epoch', async () => {
    const { first, shared, close } = instances(['a', 'b'], () => () => 'yes')
    await first.ask('before')
    await shared.renew('questions', (await shared.look('questions', { from: 0, most: 1 })).epoch)
    const { silent } = await first.ask('after')
    close()

    expect(silent).toEqual([])
  })

  plain('are sealed: who reads the store sees neither question nor answer', async () => {
    const { first, shared, close } = instances(['a', 'b'], () => () => 'the answer')
    await first.ask('the question')
    const { entries } = await shared.look('questions', { from: 1, most: 10 })
    const answer = await shared.get(`questions:${entries[0]!.item.nonce}:b`)
    close()

    expect(Buffer.from(`${entries[0]!.item.text}${answer}`, 'base64').toString('latin1')).not.toMatch(/the/)
  })
})

test('a server that stops tells its streams so before it ends, and its chats run on', async ({ core }) => {
  const { app, url, stop } = await start(configFor(core, { MUXI_API_LOG_LEVEL: 'silent' }))
  const told: string[] = []
  const { remove } = app.connections.add({ caller: { keyDigest: 'ada' }, ip: '203.0.113.7' } as FastifyRequest, opened('log_stream', told))
  const chat = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers: { authorization: `Bearer ${core.userKey}`, 'content-type': 'application/json' }, body: JSON.stringify({ content: '[fake: tokens=30 delay_ms=10]' }) })
  const stopped = stop()
  const toldAtOnce = [...told]
  const text = await chat.text()
  await stopped
  remove()

  expect([toldAtOnce, told]).toEqual([['shutdown'], ['shutdown']])
  expect(text).toMatch(/event: message_end\n/)
})
