import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { describe, expect, test as base } from 'vitest'
import { linesIn, writerTo } from '../../cli/mcp/lines.ts'
import { encoded } from '../../cli/mcp/message.ts'
import { Relay } from '../../cli/mcp/relay.ts'
import { Remote } from '../../cli/mcp/remote.ts'
import { listening } from '../core/client.ts'

interface Said { jsonrpc: '2.0', id?: string | number | null, method?: string, params?: Record<string, unknown>, result?: unknown, error?: { code: number, message: string, data?: unknown } }
interface Call { verb: string, headers: IncomingHttpHeaders, body: Said, isGone: boolean }
type Answer = (call: Call, res: ServerResponse) => void
interface Bridge {
  /** Gives it messages of the host, and resolves when there is room for more. */
  say: (...messages: (object | string)[]) => Promise<void>
  heard: Said[]
  told: string[]
  relay: Relay
}
interface Fixtures {
  /** What the server was asked, and how it answers: the handler of a method, of GET, or of DELETE. */
  wire: { url: string, calls: Call[], answer: Record<string, Answer>, down: () => void }
  bridge: (settings?: { retries?: number, timeoutMs?: number }) => Bridge
}

const json = (res: ServerResponse, message: object, headers: Record<string, string> = {}, status = 200) => {
  res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify({ jsonrpc: '2.0', ...message }))
}
const stream = (res: ServerResponse) => res.writeHead(200, { 'content-type': 'text/event-stream' })
const event = (id: string, message: object) => `id: ${id}\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`
const initialize = { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'host', version: '1' } } }
const initialized = { jsonrpc: '2.0', method: 'notifications/initialized' }
const request = (id: number | string, method: string, params: object = {}) => ({ jsonrpc: '2.0', id, method, params })
const modern = (id: number | string, method: string, params: object = {}) => request(id, method, { ...params, _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} } })
const cancel = (requestId: number | string) => ({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } })
const call = (id: number | string, name = 'act') => request(id, 'tools/call', { name, arguments: {} })

const test = base.extend<Fixtures>({
  wire: async ({}, use) => {
    const calls: Call[] = []
    let count = 0
    const answer: Record<string, Answer> = {
      initialize: ({ body }, res) => { json(res, { id: body.id, result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: {} } }, { 'mcp-session-id': `session-${++count}` }) },
      DELETE: (_, res) => { res.end() },
      GET: (_, res) => { res.writeHead(405, { 'content-type': 'application/json' }).end('{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no"}}') }
    }
    const server = createServer((req, res) => {
      let text = ''
      req.on('data', (chunk: Buffer) => { text += chunk.toString() }).on('end', () => {
        const made: Call = { verb: req.method!, headers: req.headers, body: (text === '' ? {} : JSON.parse(text)) as Said, isGone: false }
        res.on('close', () => { made.isGone = !res.writableEnded })
        calls.push(made)
        const { id, method, params } = made.body
        const own = answer[made.verb === 'POST' ? method ?? 'answer' : made.verb]
        if (own !== undefined) own(made, res)
        else if (id === undefined || method === undefined) res.writeHead(202).end()
        else json(res, { id, result: { method, params } })
      })
    })
    const url = `${await listening(server)}/mcp`
    const down = () => {
      server.close()
      server.closeAllConnections()
    }
    await use({ url, calls, answer, down })
    down()
  },
  bridge: async ({ wire }, use) => {
    const relays: Relay[] = []
    await use(({ retries = 3, timeoutMs = 5_000 } = {}) => {
      const [heard, told]: [Said[], string[]] = [[], []]
      const relay = new Relay({
        remote: new Remote({ url: wire.url, key: 'secret', headers: { 'X-Extra': 'yes' }, timeoutMs }),
        write: async (text) => { heard.push(JSON.parse(text) as Said) },
        say: (text) => { told.push(text) },
        retries,
        random: () => 0
      })
      relays.push(relay)
      const say = async (...messages: (object | string)[]) => { for (const message of messages) await relay.take(typeof message === 'string' ? message : JSON.stringify(message)) }
      return { say, heard, told, relay }
    })
    for (const relay of relays) await relay.stop()
  }
})
const answersTo = ({ heard }: Bridge) => heard.filter(({ method }) => method === undefined)

describe('a host of 2025', () => {
  test('has a session, and what follows waits for it and names it', async ({ wire, bridge }) => {
    const host = bridge()
    await host.say(initialize, initialized, request(1, 'tools/list'))
    await host.relay.finish()

    expect(answersTo(host).map(({ id }) => id)).toEqual([0, 1])
    expect(wire.calls.filter(({ verb }) => verb === 'POST').map(({ body, headers }) => [body.method, headers['mcp-session-id'], headers['mcp-protocol-version']])).toEqual([
      ['initialize', undefined, undefined], ['notifications/initialized', 'session-1', '2025-11-25'], ['tools/list', 'session-1', '2025-11-25']
    ])
    expect(wire.calls[0]!.headers).toMatchObject({ authorization: 'Bearer secret', 'x-extra': 'yes', accept: 'application/json, text/event-stream' })
    expect(wire.calls.at(-1)).toMatchObject({ verb: 'DELETE', headers: { 'mcp-session-id': 'session-1' } })
  })

  test('needs none, where the server gives none', async ({ wire, bridge }) => {
    wire.answer.initialize = ({ body }, res) => { json(res, { id: body.id, result: { protocolVersion: '2025-06-18' } }) }
    const host = bridge()
    await host.say(initialize, initialized, request(1, 'ping'))
    await host.relay.finish()

    expect(wire.calls.map(({ verb, headers }) => [verb, headers['mcp-protocol-version']])).toEqual([['POST', undefined], ['POST', '2025-06-18'], ['POST', '2025-06-18']])
  })

  test('whose session is lost gets another, with all it had asked for, and its call is sent again', async ({ wire, bridge }) => {
    const lost: Answer = (_, res) => { json(res, { id: null, error: { code: -32_001, message: 'Session not found' } }, {}, 404) }
    const asItIs = (result: object): Answer => ({ headers, body }, res) => {
      if (headers['mcp-session-id'] === 'session-1') lost({} as Call, res)
      else json(res, { id: body.id, result })
    }
    const host = bridge()
    await host.say(initialize, initialized, request('level', 'logging/setLevel', { level: 'info' }), request(1, 'resources/subscribe', { uri: 'a:b' }))
    await expect.poll(() => answersTo(host).length).toBe(3)
    wire.answer['tools/call'] = asItIs({ content: [] })
    wire.answer.ping = asItIs({})
    await host.say(call(2), request(3, 'ping'))
    await host.relay.finish()

    expect(answersTo(host).map(({ id }) => id).sort()).toEqual([0, 1, 2, 3, 'level'])
    expect(host.heard.filter(({ error }) => error !== undefined)).toEqual([])
    expect(wire.calls.filter(({ headers }) => headers['mcp-session-id'] === 'session-2').map(({ body }) => body.method).slice(0, 3)).toEqual(['notifications/initialized', 'logging/setLevel', 'resources/subscribe'])
    expect(wire.calls.filter(({ body }) => body.method === 'initialize')).toHaveLength(2)
  })

  test('reads on after the last event where the stream of its call breaks off', async ({ wire, bridge }) => {
    wire.answer['tools/call'] = (_, res) => {
      stream(res).write(`id: s.1\nretry: 10\ndata: \n\n${event('s.2', { method: 'notifications/progress', params: { progress: 1 } })}`)
      setTimeout(() => { res.destroy() }, 20)
    }
    wire.answer.GET = ({ headers }, res) => { stream(res).end(event('s.3', { id: 1, result: { after: headers['last-event-id'] } })) }
    const host = bridge()
    await host.say(initialize, call(1))
    await host.relay.finish()

    expect(host.heard.slice(1)).toEqual([{ jsonrpc: '2.0', method: 'notifications/progress', params: { progress: 1 } }, { jsonrpc: '2.0', id: 1, result: { after: 's.2' } }])
    expect(wire.calls.filter(({ body }) => body.method === 'tools/call')).toHaveLength(1)
  })

  test('hears what the server says beside its answers, and can answer that; also after that stream broke off', async ({ wire, bridge }) => {
    let count = 0
    wire.answer.GET = ({ headers }, res) => {
      stream(res).write(event(`g.${++count}`, { id: `ask-${count}`, method: 'ping', params: { last: headers['last-event-id'] } }))
      if (count === 1) setTimeout(() => { res.destroy() }, 20)
    }
    const host = bridge()
    await host.say(initialize, initialized)
    await expect.poll(() => host.heard.filter(({ method }) => method === 'ping')).toMatchObject([{ id: 'ask-1' }, { id: 'ask-2', params: { last: 'g.1' } }])
    await host.say({ jsonrpc: '2.0', id: 'ask-2', result: {} })
    await host.relay.finish()

    expect(wire.calls.find(({ body }) => body.result !== undefined)).toMatchObject({ body: { id: 'ask-2' }, headers: { 'mcp-session-id': 'session-1' } })
  })

  test('that cancels gets no answer, and the server is told', async ({ wire, bridge }) => {
    wire.answer['tools/call'] = () => {}
    const host = bridge()
    await host.say(initialize, call(1))
    await expect.poll(() => wire.calls.length).toBe(2)
    await host.say(cancel(1))
    await host.relay.finish()

    expect(answersTo(host).map(({ id }) => id)).toEqual([0])
    expect(wire.calls.find(({ body }) => body.method === 'notifications/cancelled')).toMatchObject({ body: { params: { requestId: 1 } }, headers: { 'mcp-session-id': 'session-1' } })
  })

  test('is told when the server is silent for too long, and so is the server', async ({ wire, bridge }) => {
    wire.answer['tools/call'] = () => {}
    const host = bridge({ timeoutMs: 1_000 })
    await host.say(initialize, call(1))
    await host.relay.finish()

    expect(host.heard[1]).toMatchObject({ id: 1, error: { code: -32_001, message: expect.stringMatching(/silent for 1000 ms.*whether it was done is not known/) } })
    expect(wire.calls.some(({ body }) => body.method === 'notifications/cancelled')).toBe(true)
  }, 10_000)

  test('may send a batch: each of it is answered', async ({ bridge }) => {
    const host = bridge()
    await host.say(initialize, JSON.stringify([request(1, 'ping'), request(2, 'ping')]))
    await host.relay.finish()

    expect(answersTo(host).map(({ id }) => id).sort()).toEqual([0, 1, 2])
  })
})

describe('a host of 2026-07-28', () => {
  test('has its envelope in the headers, and no session', async ({ wire, bridge }) => {
    const host = bridge()
    await host.say(modern(1, 'tools/call', { name: 'act' }), modern(2, 'resources/read', { uri: 'file:///ä' }), modern('three', 'server/discover'))
    await host.relay.finish()

    expect(Object.fromEntries(wire.calls.map(({ body, headers }) => [body.id, [headers['mcp-protocol-version'], headers['mcp-method'], headers['mcp-name'], headers['mcp-session-id']]]))).toEqual({
      1: ['2026-07-28', 'tools/call', 'act', undefined],
      2: ['2026-07-28', 'resources/read', `=?base64?${Buffer.from('file:///ä').toString('base64')}?=`, undefined],
      three: ['2026-07-28', 'server/discover', undefined, undefined]
    })
  })

  test('that cancels has the stream of the answer closed, and nothing more is sent', async ({ wire, bridge }) => {
    wire.answer['tools/call'] = (_, res) => { stream(res).write(event('1', { method: 'notifications/progress', params: {} })) }
    const host = bridge()
    await host.say(modern(1, 'tools/call', { name: 'act' }))
    await expect.poll(() => host.heard.length).toBe(1)
    await host.say(cancel(1))
    await expect.poll(() => wire.calls[0]!.isGone).toBe(true)
    await host.relay.finish()

    expect(host.heard).toHaveLength(1)
    expect(wire.calls).toHaveLength(1)
  })

  test('gets the errors of the protocol as they are, whatever their status', async ({ wire, bridge }) => {
    const error = { code: -32_022, message: 'unsupported', data: { supported: ['2026-07-28'] } }
    wire.answer['server/discover'] = ({ body }, res) => { json(res, { id: body.id, error }, {}, 400) }
    wire.answer.ping = (_, res) => { json(res, { id: null, error }, {}, 404) }
    const host = bridge()
    await host.say(modern(1, 'server/discover'), modern(2, 'ping'))
    await host.relay.finish()

    expect(host.heard.sort((a, b) => Number(a.id) - Number(b.id))).toEqual([{ jsonrpc: '2.0', id: 1, error }, { jsonrpc: '2.0', id: 2, error }])
  })

  test('whose subscription breaks off is subscribed again, acknowledged once', async ({ wire, bridge }) => {
    let count = 0
    wire.answer['subscriptions/listen'] = (_, res) => {
      stream(res).write(event('a', { method: 'notifications/subscriptions/acknowledged', params: {} }) + event('b', { method: 'notifications/tools/list_changed', params: { count: ++count } }))
      if (count < 3) setTimeout(() => { res.destroy() }, 20)
    }
    const host = bridge({ retries: 1 })
    await host.say(modern(1, 'subscriptions/listen'))
    await expect.poll(() => host.heard.length).toBe(4)
    await host.relay.finish()

    expect(host.heard.map(({ method }) => method)).toEqual(['notifications/subscriptions/acknowledged', ...Array(3).fill('notifications/tools/list_changed')])
  })
})

describe('trouble', () => {
  test('a call that was not looked at is sent again: 503, 429', async ({ wire, bridge }) => {
    const statuses = [503, 429]
    wire.answer['tools/call'] = ({ body }, res) => {
      const status = statuses.shift()
      if (status === undefined) json(res, { id: body.id, result: {} })
      else res.writeHead(status, { 'retry-after': '0' }).end()
    }
    const host = bridge()
    await host.say(modern(1, 'tools/call', { name: 'act' }))
    await host.relay.finish()

    expect(host.heard).toMatchObject([{ id: 1, result: {} }])
    expect(host.told.at(-1)).toBe('connected again')
  })

  test.for([['breaks off', (_: Call, res: ServerResponse) => { res.destroy() }], ['is a bad gateway', (_: Call, res: ServerResponse) => { res.writeHead(502).end() }]] as const)(
    'a call whose answer %s is not sent again, a list is', async ([, broken], { wire, bridge }) => {
      let isBroken = true
      wire.answer['tools/call'] = broken
      wire.answer['tools/list'] = ({ body }, res) => {
        if (isBroken) broken({} as Call, res)
        else json(res, { id: body.id, result: { tools: [] } })
        isBroken = false
      }
      const host = bridge()
      await host.say(modern(1, 'tools/call', { name: 'act' }), modern(2, 'tools/list'))
      await host.relay.finish()

      expect(host.heard.find(({ id }) => id === 1)).toMatchObject({ error: { code: -32_000, message: expect.stringContaining('whether it was done is not known') } })
      expect(host.heard.find(({ id }) => id === 2)).toMatchObject({ result: { tools: [] } })
      expect(wire.calls.map(({ body }) => body.id).sort()).toEqual([1, 2, 2])
    })

  test('a tool that changes nothing, as the server says, is called again', async ({ wire, bridge }) => {
    let count = 0
    wire.answer['tools/list'] = ({ body }, res) => { json(res, { id: body.id, result: { tools: [{ name: 'look', annotations: { readOnlyHint: true } }] } }) }
    wire.answer['tools/call'] = ({ body }, res) => { count++ === 0 ? res.destroy() : json(res, { id: body.id, result: {} }) }
    const host = bridge()
    await host.say(modern(1, 'tools/list'))
    await expect.poll(() => host.heard.length).toBe(1)
    await host.say(modern(2, 'tools/call', { name: 'look' }))
    await host.relay.finish()

    expect(host.heard[1]).toMatchObject({ id: 2, result: {} })
  })

  test('what a refusal says is in the error, with a remedy; redirects are not followed', async ({ wire, bridge }) => {
    const failure = { error: { code: 'unauthorized', message: 'invalid or missing API key', request_id: 'req_1' } }
    wire.answer.ping = (_, res) => { res.writeHead(401).end(JSON.stringify(failure)) }
    wire.answer['tools/list'] = (_, res) => { res.writeHead(307, { location: 'https://elsewhere.example/' }).end() }
    wire.answer['prompts/list'] = (_, res) => { res.writeHead(200, { 'content-type': 'text/html' }).end('<html>') }
    const host = bridge()
    await host.say(modern(1, 'ping'), modern(2, 'tools/list'), modern(3, 'prompts/list'))
    await host.relay.finish()
    const errors = Object.fromEntries(host.heard.map(({ id, error }) => [String(id), error]))

    expect(errors[1]).toEqual({ code: -32_000, message: `${wire.url} answered 401 unauthorized: invalid or missing API key: set MUXI_API_KEY to a key that is valid there`, data: { status: 401, ...failure.error } })
    expect(errors[2]!.message).toBe(`${wire.url} sends on to https://elsewhere.example/: give that to --url, since a key is not sent on`)
    expect(errors[3]!.message).toContain('text/html, which is no message of MCP')
    expect(JSON.stringify([host.heard, host.told])).not.toContain('secret')
  })

  test('a server that is away is tried as often as was said, then the host is told; each time once', async ({ wire, bridge }) => {
    wire.down()
    const host = bridge({ retries: 2 })
    await host.say(call(1), request(2, 'ping'), initialized)
    await host.relay.finish()

    expect(answersTo(host).map(({ id, error }) => [id, error!.code]).sort()).toEqual([[1, -32_000], [2, -32_000]])
    expect(host.told.filter((text) => text.includes('trying again'))).toHaveLength(1)
  })

  test('lines that are no messages are errors without an id, and an id that is in use is refused', async ({ wire, bridge }) => {
    wire.answer.ping = () => {}
    const host = bridge()
    await host.say('nonsense', '[]', '{"jsonrpc":"1.0","id":1}', '{"jsonrpc":"2.0","id":null,"method":"ping"}', request(1, 'ping'), request(1, 'ping'))

    expect(host.heard.map(({ id, error }) => [id, error!.code])).toEqual([[null, -32_700], [null, -32_600], [null, -32_600], [null, -32_600], [1, -32_600]])
  })

  test('a host that asks for more than is answered is not read on, and its cancellations are heard', async ({ wire, bridge }) => {
    const open: [Call, ServerResponse][] = []
    wire.answer.ping = (made, res) => { open.push([made, res]) }
    const host = bridge()
    for (let id = 1; id <= 64 + 255; id++) await host.say(modern(id, 'ping'))
    await expect.poll(() => open.length).toBe(64)
    let isRead = false
    const last = host.say(modern('last', 'ping')).then(() => { isRead = true })
    await new Promise((resolve) => { setImmediate(resolve) })
    const before = isRead
    await host.say(cancel(1))
    await last

    expect([before, isRead]).toEqual([false, true])
    await expect.poll(() => open.length).toBe(65)
    await host.relay.stop()
    expect(host.heard).toHaveLength(64 + 255)
  })
})

describe('lines', () => {
  test('end at a line feed alone, whatever pieces they come in; the last needs none', async () => {
    const text = Buffer.from('{"a":"\u2028ä"}\r\n\n{"b":1}\n{"c":2}')
    const lines: unknown[] = []
    for await (const line of linesIn(Readable.from([...text].map((byte) => Buffer.from([byte]))))) lines.push(JSON.parse(line!))

    expect(lines).toEqual([{ a: '\u2028ä' }, { b: 1 }, { c: 2 }])
  })

  test('that are too long are left out, and those after them are not', async () => {
    const lines: (string | undefined)[] = []
    for await (const line of linesIn(Readable.from([Buffer.alloc(20_000_000, 'x'), Buffer.alloc(20_000_000, 'x'), Buffer.from('\n{}\n')]))) lines.push(line)

    expect(lines).toEqual([undefined, '{}'])
  })

  test('are written as one, however the server has laid its JSON out', async () => {
    const written: string[] = []
    await writerTo({ write: (text: string) => written.push(text), destroyed: false } as never)('{\r\n  "a": "\\n"\n}')

    expect(written).toEqual(['{    "a": "\\n" }\n'.replace('{    ', '{   ')])
  })

  test.for([['act', 'act'], ['', '=?base64??='], [' x', '=?base64?IHg=?='], ['a b', 'a b'], ['=?base64?eA==?=', '=?base64?PT9iYXNlNjQ/ZUE9PT89?='], ['a\r\nb: c', '=?base64?YQ0KYjogYw==?=']])('the name %j is the header %j', ([name, header]) => {
    expect(encoded(name!)).toBe(header)
  })
})
