import { expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { reasonAgainst } from '../plugins/mcp/tools.ts'
import { as, sharedWith, type Shared } from './app.ts'
import { inputFor } from './inputs.ts'
import { Tail } from './plugins/events/tail.ts'
import { refused, SocketPeer } from './plugins/socket/peer.ts'

type Operation = FastifyInstance['operations'][number]
interface Answer { statusCode: number, body: string }
interface Reply { result?: { isError?: boolean, content?: { text: string }[], tools?: { name: string }[] }, error?: { code: number } }

const test = sharedWith({ MUXI_API_USER_TOKENS_SECRET: 'a-secret-for-user-tokens-of-32-characters' })

type Headers = Record<string, string>
/** What shows itself to the server: anew for each call, for some are good only once. */
interface Kind { rank: 0 | 1 | 2, is?: 'token' | 'ticket', headers: (server: Pick<Shared, 'app' | 'core'>) => Headers | Promise<Headers> }

/** Whom tokens are for: calls are for no other. */
const user = { user_id: 'u1' }
const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const tokenOf = async ({ app }: Pick<Shared, 'app'>, level: 'user' | 'admin') =>
  bearer((await app.inject({ method: 'POST', url: '/api/v1/user-tokens', headers: as(level), payload: user })).json<{ token: string }>().token)
const ticketOf = async ({ app }: Pick<Shared, 'app'>, headers: Headers) =>
  (await app.inject({ method: 'POST', url: '/api/v1/stream-tickets', headers })).json<{ ticket: string }>().ticket

const callers = {
  'no key': { rank: 0, headers: () => ({}) },
  'a wrong key': { rank: 0, headers: () => bearer('sk_muxi_admin_wrong0000000000000000000') },
  'an admin key that was taken back': {
    rank: 0,
    headers: async ({ app, core }) => {
      core.keys.set('taken-back', { scope: 'admin' })
      await app.keys.revoke('taken-back')
      return bearer('taken-back')
    }
  },
  'a user key': { rank: 1, headers: () => as('user') },
  'a token of a user key': { rank: 1, is: 'token', headers: async (server) => await tokenOf(server, 'user') },
  'a token of an admin key': { rank: 1, is: 'token', headers: async (server) => await tokenOf(server, 'admin') },
  'a ticket of a user key': { rank: 1, is: 'ticket', headers: async (server) => bearer(await ticketOf(server, as('user'))) },
  'a ticket of an admin key': { rank: 2, is: 'ticket', headers: async (server) => bearer(await ticketOf(server, as('admin'))) },
  'an admin key': { rank: 2, headers: () => as('admin') }
} as const satisfies Record<string, Kind>
type Caller = keyof typeof callers
const everyCaller = Object.keys(callers) as Caller[]
const rank = { public: 0, user: 1, admin: 2 } as const

const revision = '2026-07-28'
const envelope = {
  'io.modelcontextprotocol/protocolVersion': revision,
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' }
}
type Place = Pick<Shared, 'app' | 'core' | 'url'>
type Message = { method: string, params: Record<string, unknown> }
const initialize = { method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } } }
/** The ways that a message of the protocol may take. `headers` are those of the caller, made anew for each request. */
const eras = {
  [revision]: async (place, headers, { method, params }) =>
    await post(place, { ...await headers(), 'mcp-protocol-version': revision, 'mcp-method': method, ...(typeof params.name === 'string' && { 'mcp-name': params.name }) }, { method, params: { ...params, _meta: envelope } }),
  'the revisions of 2025': async (place, headers, message) => await post(place, await headers(), message),
  'a session of 2025': async (place, headers, message) => {
    const begun = await post(place, await headers(), initialize)
    return begun.statusCode === 200 ? await post(place, { ...await headers(), 'mcp-session-id': String(begun.headers['mcp-session-id']) }, message) : begun
  },
  'HTTP+SSE': async ({ url }, headers, message) => {
    const leave = new AbortController()
    const stream = await fetch(`${url}/api/v1/mcp/stream`, { headers: await headers(), signal: leave.signal })
    if (stream.status !== 200) return { statusCode: stream.status, body: await stream.text() }
    try {
      const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader()
      let text = ''
      const next = async (form: RegExp): Promise<string> => {
        for (let found = form.exec(text); ; found = form.exec(text)) {
          if (found !== null) return found[1]!
          text += (await reader.read()).value ?? ''
        }
      }
      const endpoint = await next(/^event: endpoint\ndata: (.*)$/m)
      const taken = await fetch(`${url}${endpoint}`, { method: 'POST', headers: { ...await headers(), 'content-type': 'application/json' }, body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }) })
      return taken.status === 202 ? { statusCode: 200, body: await next(/^event: message\ndata: (.*)\n\n/m) } : { statusCode: taken.status, body: await taken.text() }
    } finally {
      leave.abort()
    }
  }
} as const satisfies Record<string, (place: Place, headers: () => Promise<Headers>, message: Message) => Promise<Answer>>
type Era = keyof typeof eras
const everyEra = Object.keys(eras) as Era[]

test.for(everyCaller)('%s opens the operations of its level over REST and no other', async (caller, { app, core, url }) => {
  const verdicts: Record<string, string> = {}
  for (const operation of shown(app)) verdicts[operation.id] = verdictOf(await call({ app, core, url }, operation, caller))

  expect(verdicts).toEqual(Object.fromEntries(shown(app).map((operation) => [operation.id, expectedOf(operation, caller)])))
})

test.for(everyEra.flatMap((era) => everyCaller.map((caller) => [caller, era] as const)))('%s opens the tools of its level and no other, in %s', async ([caller, era], { app, core, url }) => {
  const verdicts: Record<string, string> = {}
  for (const operation of shown(app)) verdicts[operation.id] = toolVerdictOf(await rpc({ app, core, url }, caller, era, 'tools/call', { name: operation.id, arguments: inputFor(operation, user).args }))

  expect(verdicts).toEqual(Object.fromEntries(shown(app).map((operation) => [operation.id, expectedOfTool(operation, caller)])))
})

test.for(everyEra.flatMap((era) => everyCaller.map((caller) => [caller, era] as const)))('%s sees the tools of its level and no other, in %s', async ([caller, era], { app, core, url }) => {
  const answer = await rpc({ app, core, url }, caller, era, 'tools/list')
  const listed = replyOf(answer)?.result?.tools?.map(({ name }) => name)
  const level = levelOf(caller, false)

  expect(answer.statusCode).toBe(level === 0 ? 401 : 200)
  expect(listed?.sort()).toEqual(level === 0 ? undefined : shown(app).filter((operation) => reasonAgainst(operation) === undefined && rank[operation.access] <= level).map(({ id }) => id).sort())
})

test.for(everyCaller)('%s sends logs and traces of its level and no other, whatever they are written in', async (caller, { app, core }) => {
  const verdicts: string[] = []
  for (const { id, method, url } of shown(app).filter(({ contract: { tags } }) => tags.includes('otlp'))) {
    for (const [type, payload] of [['application/json', '{}'], ['application/x-protobuf', Buffer.from('0a00', 'hex')]] as const) {
      verdicts.push(`${id} ${type}: ${verdictOf(await app.inject({ method: method as 'POST', url, headers: { ...await callers[caller].headers({ app, core }), 'content-type': type }, payload }))}`)
    }
  }
  const verdict = levelOf(caller, false) === 0 ? 'unauthorized' : caller === 'an admin key' ? 'let through' : 'forbidden'

  expect(verdicts).toEqual(['log_ingest', 'trace_ingest'].flatMap((id) => ['application/json', 'application/x-protobuf'].map((type) => `${id} ${type}: ${verdict}`)))
})

test.for(['log_stream', 'trace_stream'].flatMap((id) => (['the key', 'a ticket in the header', 'a ticket in the query'] as const).map((shown) => [id, shown] as const)))('%s that was opened with %s ends when the key is taken back, and is refused from then on', async ([id, shown], { app, core, url }) => {
  const key = `of-${id}-${shown.replaceAll(' ', '-')}`
  core.keys.set(key, { scope: 'admin' })
  const operation = app.operations.find((one) => one.id === id)!
  const place = async (): Promise<[string, Headers]> => {
    if (shown === 'the key') return [`${url}${operation.url}`, bearer(key)]
    const ticket = await ticketOf({ app }, bearer(key))
    return shown === 'a ticket in the header' ? [`${url}${operation.url}`, bearer(ticket)] : [`${url}${operation.url}?ticket=${ticket}`, {}]
  }
  const [first, second] = [await place(), await place()]
  const tail = await Tail.open(...first)
  await app.inject({ method: 'POST', url: '/api/v1/auth/revocations', headers: as('admin'), payload: { key } })
  await tail.until(({ ended }) => ended)
  const again = await Tail.open(...second)

  expect([tail.status, tail.of('end').map(({ data }) => data.reason), again.status]).toEqual([200, ['unauthorized'], 401])
})

const upgrades = {
  Authorization: (headers) => [headers, []],
  'a subprotocol': ({ authorization }) => [{}, authorization === undefined ? ['muxi.v1'] : ['muxi.v1', authorization.replace('Bearer ', 'bearer.')]]
} as const satisfies Record<string, (headers: Headers) => [Headers, string[]]>

test.for((Object.keys(upgrades) as (keyof typeof upgrades)[]).flatMap((way) => everyCaller.map((caller) => [caller, way] as const)))('%s opens a socket where its level is that of a user, and does over it what its level may, shown in %s', async ([caller, way], { app, core, url }) => {
  const expected = levelOf(caller, true) === 0 ? 'unauthorized' : 'let through'
  const [headers, protocols] = upgrades[way](await callers[caller].headers({ app, core }))
  if (expected === 'unauthorized') {
    expect(await refused(url, { headers }, protocols)).toMatchObject({ status: 401, code: 'unauthorized' })
    return
  }
  const peer = await SocketPeer.open(url, { headers }, protocols)
  const ids = { session_id: 'rtc_nothere', participant_id: 'prt_nobody' }
  peer.send('chat', 'chat', { content: 'Hello', ...user })
  peer.send('chat', 'agent', { content: 'Hello', agent_id: 'greeter', ...user })
  peer.send('rtc_subscribe', 'subscribe', { ...ids, participant_token: 'x' })
  peer.send('rtc_signal', 'signal', { type: 'candidate', ...ids, candidate: null })
  peer.send('rtc_leave', 'leave', ids)
  for (const id of ['chat', 'agent', 'subscribe', 'signal', 'leave']) await expect.poll(() => peer.frames.some((frame) => frame.id === id && ['chat_end', 'error'].includes(frame.type)), { timeout: 5_000 }).toBe(true)
  peer.close()

  expect(peer.of('chat_end').map(({ id }) => id).sort()).toEqual(['agent', 'chat'])
  expect(peer.of('error').map(({ id, data }) => `${id}: ${data.code}`).sort()).toEqual(['leave: not_found', 'signal: not_found', 'subscribe: not_found'])
})

test('a ticket in the query opens a socket, once', async ({ app, url }) => {
  const ticket = await ticketOf({ app }, as('user'))
  const peer = await SocketPeer.open(`${url}/api/v1/ws?ticket=${ticket}`, {})
  peer.close()

  expect(await refused(`${url}/api/v1/ws?ticket=${ticket}`)).toMatchObject({ status: 401 })
})

test('the matrix has operations of every level, tools and others', ({ app }) => {
  const kinds = shown(app).map((operation) => `${operation.access} ${reasonAgainst(operation) === undefined ? 'tool' : 'no tool'}`)

  expect([...new Set(kinds)].sort()).toEqual(['admin no tool', 'admin tool', 'public no tool', 'public tool', 'user no tool', 'user tool'])
})

test('a call that is refused asks the Core for nothing but the verdict on the key', async ({ app, core, url }) => {
  const before = core.calls.length
  for (const operation of shown(app).filter(({ access }) => access === 'admin')) {
    for (const caller of everyCaller.filter((caller) => expectedOf(operation, caller) !== 'let through')) await call({ app, core, url }, operation, caller)
    for (const era of everyEra) await rpc({ app, core, url }, 'a user key', era, 'tools/call', { name: operation.id, arguments: inputFor(operation).args })
  }

  // The server's own look at the Core, every 10 s, is nobody's call.
  expect(core.calls.slice(before).map(({ path }) => path).filter((path) => !path.startsWith('/v1/auth/') && path !== '/v1/health')).toEqual([])
})

test('a key that is bound to a user opens no operation for another user, whatever its level, over REST and as a tool', async ({ app, core }) => {
  core.keys.set('bound-to-alice', { scope: 'admin', sub: 'alice' })
  const headers = { authorization: 'Bearer bound-to-alice', accept: 'application/json, text/event-stream' }
  const json = { ...headers, 'content-type': 'application/json' }
  const asked = shown(app).filter((operation) => 'user_id' in inputFor(operation, { user_id: 'bob' }).args)
  const opened: string[] = []
  for (const operation of asked) {
    const { request, args } = inputFor(operation, { user_id: 'bob' })
    const { statusCode } = await app.inject({ ...request, headers: request.payload === undefined ? headers : json })
    if (statusCode !== 403) opened.push(`${operation.id} ${statusCode}`)
    if (reasonAgainst(operation) !== undefined) continue
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: operation.id, arguments: args } }
    const verdict = toolVerdictOf(await app.inject({ method: 'POST', url: '/mcp', headers: json, payload: JSON.stringify(call) }))
    if (verdict !== 'forbidden') opened.push(`${operation.id} as a tool: ${verdict}`)
  }

  expect(opened).toEqual([])
  expect(asked.length).toBeGreaterThan(10)
})

test.for(['HEAD', 'OPTIONS', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND'])('%s of an admin route gives a user nothing', async (method, { app }) => {
  const others = new Set(shown(app).filter((operation) => operation.access !== 'admin' && operation.method === method).map(({ url }) => url))
  const urls = new Set(shown(app).filter(({ access, url }) => access === 'admin' && !others.has(url)).map((operation) => inputOf(operation).url))
  const answers: { url: string, statusCode: number, data: boolean }[] = []
  for (const url of urls) {
    const { statusCode, body } = await app.inject({ method: method as 'GET', url, headers: as('user') })
    answers.push({ url, statusCode, data: body !== '' && Object.keys(JSON.parse(body) as object).join() !== 'error' })
  }

  expect(answers.filter(({ statusCode, data }) => ![403, 404, 405].includes(statusCode) || data)).toEqual([])
})

test.for(['/api/v1/agents/', '//api/v1/agents', '/API/V1/AGENTS', '/api/v1/%61gents', '/api/v1/./agents', '/api/v1/chat/../agents', '/api/v1/agents;v=1', '/api/v1/agents%2f', '/metrics/', '/%6detrics', '/api/v1/users%3f', '/mcp/../metrics'])('%s is no way around the level', async (url, { app }) => {
  const { statusCode, body } = await app.inject({ url, headers: as('user') })

  expect([403, 404]).toContain(statusCode)
  expect(Object.keys(JSON.parse(body) as object)).toEqual(['error'])
})

function shown ({ operations }: FastifyInstance): Operation[] {
  return operations.filter(({ hidden }) => !hidden)
}

function inputOf (operation: Operation) {
  return inputFor(operation, user).request
}

/** A stream that is let through may go on for ever: its head is the verdict. */
async function call ({ app, core, url: origin }: Pick<Shared, 'app' | 'core' | 'url'>, operation: Operation, caller: Caller): Promise<Answer> {
  const { contract: { body, response }, method } = operation
  const { url, payload } = inputOf(operation)
  const headers = { ...await callers[caller].headers({ app, core }), accept: 'application/json, text/event-stream', ...(body !== undefined && { 'content-type': 'application/json' }) }
  const success = response?.[200]
  const isFollowed = method === 'GET' && success !== undefined && 'content' in success && 'text/event-stream' in (success.content as object)
  if (!isFollowed) return await app.inject({ method: method as 'GET', url, headers, ...(payload !== undefined && { payload }) })
  const leave = new AbortController()
  const answer = await fetch(`${origin}${url}`, { headers, signal: leave.signal })
  const text = answer.status === 400 ? await answer.text() : ''
  leave.abort()
  return { statusCode: answer.status, body: text }
}

/** The level at which a caller is seen: tickets are good for streams alone. */
function levelOf (caller: Caller, takesTickets: boolean): number {
  const { rank, is }: Kind = callers[caller]
  return is === 'ticket' && !takesTickets ? 0 : rank
}

function expectedOf ({ id, access, contract: { querystring } }: Operation, caller: Caller): string {
  const level = levelOf(caller, 'ticket' in (querystring?.properties as object | undefined ?? {}))
  // A token makes no further token.
  if (rank[access] <= level && !((callers[caller] as Kind).is === 'token' && id === 'user_token_create')) return 'let through'
  return level === 0 ? 'unauthorized' : 'forbidden'
}

/** A fault of the input or of the server is a verdict of its own, so that it cannot pass for "let through". */
function verdictOf ({ statusCode, body }: Answer): string {
  // So far comes only who is let through.
  if (body.includes('Mcp-Session-Id header is required')) return 'let through'
  const faults: Record<number, string> = { 400: 'bad_request', 401: 'unauthorized', 403: 'forbidden', 415: 'unsupported_media_type', 429: 'rate_limited', 500: 'internal_error', 501: 'not_implemented' }
  return faults[statusCode] ?? 'let through'
}

function toolVerdictOf (answer: Answer): string {
  if (answer.statusCode === 401) return 'unauthorized'
  const { result, error } = replyOf(answer)!
  if (error !== undefined) return String(error.code)
  if (result?.isError !== true) return 'let through'
  const { error: { code } } = JSON.parse(result.content![0]!.text) as { error: { code: string } }
  return ['not_found', 'conflict', 'core_error', 'core_unavailable'].includes(code) ? 'let through' : code
}

function expectedOfTool (operation: Operation, caller: Caller): string {
  if (levelOf(caller, false) === 0) return 'unauthorized'
  return reasonAgainst(operation) === undefined ? expectedOf(operation, caller) : '-32602'
}

async function rpc (place: Place, caller: Caller, era: Era, method: string, params: Record<string, unknown> = {}): Promise<Answer> {
  const headers = async () => ({ ...await callers[caller].headers(place), accept: 'application/json, text/event-stream' })
  return await eras[era](place, headers, { method, params })
}

async function post ({ app }: Place, headers: Headers, message: Message) {
  return await app.inject({ method: 'POST', url: '/mcp', headers: { ...headers, host: 'localhost' }, payload: { jsonrpc: '2.0', id: 1, ...message } })
}

/** The one JSON-RPC answer, plain or as an event; undefined for a failure of HTTP. */
function replyOf ({ statusCode, body }: Answer): Reply | undefined {
  return statusCode === 401 ? undefined : JSON.parse(/^data: (\{.*)$/m.exec(body)?.[1] ?? body) as Reply
}
