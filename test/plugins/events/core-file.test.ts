import { appendFileSync, copyFileSync, renameSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test as base } from 'vitest'
import { eventsOf } from '../../../plugins/events/core-events.ts'
import { followCoreFile } from '../../../plugins/events/core-file.ts'
import type { LogEvent } from '../../../schemas/logs.ts'
import type { TraceEvent } from '../../../schemas/traces.ts'
import { folder } from '../../fixtures/folder.ts'

type Options = Parameters<typeof followCoreFile>[1]
interface Followed { logs: LogEvent[], traces: TraceEvent[], once: string[], said: string[], messages: () => string[], close: () => Promise<void> }
interface Fixtures { folder: string, path: string, follow: (options?: Partial<Options>) => Promise<Followed> }

const test = base.extend<Fixtures>({
  folder,
  path: async ({ folder }, use) => { await use(join(folder, 'events.jsonl')) },
  follow: async ({ path }, use) => {
    const opened: { close: () => Promise<void> }[] = []
    await use(async (options = {}) => {
      const followed: Followed = { logs: [], traces: [], once: [], said: [], messages: () => followed.logs.map(({ message }) => message), close: async () => { await follower.close() } }
      const follower = followCoreFile(path, {
        publish: (topic, event, once) => {
          if (topic === 'logs') followed.logs.push(event as LogEvent)
          else followed.traces.push(event as TraceEvent)
          followed.once.push(once)
        },
        log: { warn: (_: object, message?: string) => { followed.said.push(message!) } },
        everyMs: 10,
        quietMs: 100,
        ...options
      })
      opened.push(follower)
      // Its first look has found the file, or that there is none.
      await sleep(50)
      return followed
    })
    for (const one of opened) await one.close()
  }
})

const textOf = (description: string, facts: object = {}, data: object = {}, request: object = {}) => JSON.stringify({
  id: `evt_${description}`,
  timestamp: 1_795_346_682_907,
  level: 'info',
  muxi_version: '1.20260928.0',
  server: 'host',
  event: 'request.received',
  session_id: 's-1',
  request: { id: 'req_mine', status: 'processing', started: 1_795_346_682_900, duration_ms: 7, formation_id: 'gateway-test', user_id: 'alice', ...request },
  data: { description, ...data },
  ...facts
})
const lineOf = (...args: Parameters<typeof textOf>) => `${textOf(...args)}\n`
const arrives = async (followed: Followed, ...messages: string[]) => { await expect.poll(followed.messages, { interval: 10 }).toEqual(messages) }

test('a line becomes an event of the log and a span, which every instance makes the same, to be taken once', () => {
  const first = eventsOf(textOf('one'))

  expect(eventsOf(textOf('one'))).toEqual(first)
  expect(first).toEqual({
    id: 'evt_one',
    log: { timestamp: '2026-11-22T11:24:42.907Z', level: 'info', message: 'one', service: 'muxi-core', event: 'request.received', requestId: 'req_mine', traceId: expect.stringMatching(/^[0-9a-f]{32}$/), spanId: expect.stringMatching(/^[0-9a-f]{16}$/), userId: 'alice', sessionId: 's-1' },
    trace: { timestamp: '2026-11-22T11:24:42.907Z', traceId: first?.log.traceId, spanId: first?.log.spanId, name: 'user.message', duration: 0, status: 'ok', service: 'muxi-core', component: 'user', operation: 'message', message: 'one', userId: 'alice', sessionId: 's-1', requestId: 'req_mine', data: { event: 'request.received', requestMs: 7 } }
  })
})

test('a request of ours stays in its trace, below its span', () => {
  const known = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) }
  const events = eventsOf(textOf('one'), (requestId) => requestId === 'req_mine' ? known : undefined)

  expect(events).toMatchObject({ log: { traceId: known.traceId }, trace: { traceId: known.traceId, parentSpanId: known.spanId } })
})

test.each([
  ['request.received', 'user.message', 'ok'],
  ['overlord.agent.selection_started', 'overlord.route', 'ok'],
  ['overlord.routing.completed', 'overlord.route', 'ok'],
  ['overlord.routing.failed', 'overlord.route', 'error'],
  ['overlord.agent.selected', 'overlord.route', 'ok'],
  ['agent.message.processing', 'agent.process_start', 'ok'],
  ['mcp.tool.called', 'agent.tool_call', 'ok'],
  ['mcp.tool.call_started', 'agent.tool_call', 'ok'],
  ['mcp.tool.call_completed', 'agent.tool_result', 'ok'],
  ['mcp.tool.call_failed', 'agent.tool_result', 'error'],
  ['model.request.started', 'model.request', 'ok'],
  ['agent.response.generated', 'agent.response', 'ok'],
  ['request.completed', 'overlord.response', 'ok'],
  ['request.failed', 'overlord.response', 'error'],
  ['memory.working.lookup', 'memory.working_lookup', 'ok'],
  ['memory.working.update_failed', 'memory.working_update_failed', 'error'],
  ['agent.planning', 'agent.planning', 'ok'],
  ['alone', 'alone.event', 'ok']
])('%s is the step %s, %s', (event, name, status) => {
  expect(eventsOf(textOf('one', { event }))?.trace).toMatchObject({ name, component: name.split('.')[0], operation: name.split('.')[1], status, data: { event } })
})

test.each([['debug', 'debug'], ['info', 'info'], ['warning', 'warn'], ['error', 'error'], ['CRITICAL', 'error'], ['odd', 'info']])('level %s is %s', (level, ours) => {
  expect(eventsOf(textOf('one', { level }))?.log.level).toBe(ours)
})

test('a step that says how long it took began before it was written', () => {
  expect(eventsOf(textOf('one', { event: 'model.request.completed' }, { duration_ms: 907, agent_id: 'ada' }))?.trace).toMatchObject({ timestamp: '2026-11-22T11:24:42.000Z', duration: 907, agentId: 'ada' })
})

test('what belongs to no request is of the log alone, and what says little is taken for what it says', () => {
  expect(eventsOf(textOf('one', { request: null }))).toMatchObject({ log: { message: 'one' }, trace: undefined })
  expect(eventsOf('{"event":"server.started"}')).toMatchObject({ id: expect.stringMatching(/^[0-9a-f]{64}$/), log: { level: 'info', message: 'server.started', timestamp: expect.stringMatching(/Z$/) } })
})

test.each(['', '[]', 'null', '1', '{', '{}', '{"event":1}', 'INFO: started'])('%j is no event', (line) => {
  expect(eventsOf(line)).toBeUndefined()
})

test('the facts of a step are bounded, and hold no secret', () => {
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`m${index}`, 'y'.repeat(1_000)]))
  const { data } = eventsOf(textOf('one', {}, { text: 'x'.repeat(5_000), api_key: 'sk-1', nested: { password: { value: 'sk-2' } }, tokens: { total: [1] }, ...many }))!.trace!

  expect(data).toMatchObject({ text: `${'x'.repeat(1_024)}…`, api_key: '[redacted]', nested: { password: '[redacted]' }, tokens: { total: [1] }, m0: many.m0, omitted: expect.any(Number) })
  expect(JSON.stringify(data).length).toBeLessThan(17_000)
})

test('a file is followed from its end, the rest of a line that has begun left out', async ({ path, follow }) => {
  writeFileSync(path, `${lineOf('old')}{"event":"half`)
  const followed = await follow()
  appendFileSync(path, `"}\n${lineOf('new')}`)

  await arrives(followed, 'new')
  expect(followed).toMatchObject({ once: ['evt_new', 'evt_new'], said: [] })
  expect(followed.traces).toHaveLength(1)
})

test('a file that comes later is read whole', async ({ path, follow }) => {
  const followed = await follow()
  writeFileSync(path, lineOf('first'))

  await arrives(followed, 'first')
})

test('a line is taken when it has ended, wherever its pieces do', async ({ path, follow }) => {
  writeFileSync(path, '')
  const followed = await follow()
  const bytes = Buffer.from(lineOf('größer 🦊'))
  const cut = bytes.indexOf(Buffer.from('🦊')) + 2
  appendFileSync(path, bytes.subarray(0, cut))
  await sleep(50)
  expect(followed.messages()).toEqual([])
  appendFileSync(path, bytes.subarray(cut))

  await arrives(followed, 'größer 🦊')
})

test('bad lines are left out, and told once with a count', async ({ path, follow }) => {
  writeFileSync(path, '')
  const followed = await follow()
  appendFileSync(path, `plain\n\n{}\n${'['.repeat(500_000)}\n{"event":"x","request":{"id":"r"},"data":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}\r\n${lineOf('good')}`)

  await arrives(followed, 'good')
  expect(followed.said).toEqual(['a line of the events of the Core is no event'])
})

test('a line that is too long is left out without being held', async ({ path, follow }) => {
  writeFileSync(path, '')
  const followed = await follow()
  for (let piece = 0; piece < 30; piece++) appendFileSync(path, 'x'.repeat(100_000))
  appendFileSync(path, `\n${lineOf('good')}`)

  await arrives(followed, 'good')
  expect(followed.said).toEqual(['a line of the events of the Core is too long'])
})

test('after a rotation the old file is read to its end before the new one, also what is written to it late', async ({ path, follow }) => {
  writeFileSync(path, '')
  const followed = await follow()
  appendFileSync(path, lineOf('a'))
  renameSync(path, `${path}.1`)
  appendFileSync(`${path}.1`, lineOf('b'))
  writeFileSync(path, lineOf('d'))
  await arrives(followed, 'a', 'b')
  appendFileSync(`${path}.1`, textOf('c'))

  await arrives(followed, 'a', 'b', 'c', 'd')
  expect(followed.said).toEqual([])
})

test('rotations that follow each other lose no file', async ({ path, follow }) => {
  writeFileSync(path, '')
  const followed = await follow()
  const names = ['a', 'b', 'c']
  for (const [index, name] of names.entries()) {
    appendFileSync(path, lineOf(name))
    await arrives(followed, ...names.slice(0, index + 1))
    renameSync(path, `${path}.${name}`)
    writeFileSync(path, '')
  }
  appendFileSync(path, lineOf('d'))

  await arrives(followed, 'a', 'b', 'c', 'd')
})

test.for([['shorter', 'c'], ['longer', 'c', 'd', 'e']])('a file that is copied and emptied is read anew, also when it is %s by the next look', async ([, ...next], { path, follow }) => {
  writeFileSync(path, '')
  const followed = await follow()
  appendFileSync(path, lineOf('a') + lineOf('b'))
  await arrives(followed, 'a', 'b')
  copyFileSync(path, `${path}.1`)
  truncateSync(path)
  appendFileSync(path, next.map((name) => lineOf(name)).join(''))

  await arrives(followed, 'a', 'b', ...next)
})

test('a file that is removed is waited for', async ({ path, follow }) => {
  writeFileSync(path, '')
  const followed = await follow()
  appendFileSync(path, lineOf('a'))
  await arrives(followed, 'a')
  unlinkSync(path)
  await sleep(50)
  writeFileSync(path, lineOf('b'))

  await arrives(followed, 'a', 'b')
})

test('50,000 lines at once are all taken, in order, and do not hold the loop', async ({ path, follow }) => {
  writeFileSync(path, '')
  const followed = await follow()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  appendFileSync(path, Array.from({ length: 50_000 }, (_, index) => lineOf(`${index}`)).join(''))
  delay.reset()
  await expect.poll(() => followed.logs.length, { interval: 100 }).toBe(50_000)
  delay.disable()

  expect(followed.messages()).toEqual(Array.from({ length: 50_000 }, (_, index) => `${index}`))
  expect(delay.max / 1e6).toBeLessThan(1_000)
})

test('nothing is taken after the close', async ({ path, follow }) => {
  writeFileSync(path, '')
  const followed = await follow()
  await followed.close()
  appendFileSync(path, lineOf('late'))
  await sleep(50)

  expect(followed.logs).toEqual([])
})
