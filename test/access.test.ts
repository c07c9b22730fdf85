import { expect } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { reasonAgainst } from '../plugins/mcp/tools.ts'
import { as, sharedWith } from './app.ts'
import { inputFor } from './inputs.ts'

type Operation = FastifyInstance['operations'][number]
interface Answer { statusCode: number, body: string }
interface Reply { result?: { isError?: boolean, content?: { text: string }[], tools?: { name: string }[] }, error?: { code: number } }

const test = sharedWith({ MUXI_API_USER_TOKENS_SECRET: 'a-secret-for-user-tokens-of-32-characters' })

const callers = {
  'no key': { rank: 0, headers: {} },
  'a wrong key': { rank: 0, headers: { authorization: 'Bearer sk_muxi_admin_wrong0000000000000000000' } },
  'a user key': { rank: 1, headers: as('user') },
  'an admin key': { rank: 2, headers: as('admin') }
} as const
type Caller = keyof typeof callers
const everyCaller = Object.keys(callers) as Caller[]
const rank = { public: 0, user: 1, admin: 2 } as const

const revision = '2026-07-28'
const envelope = {
  'io.modelcontextprotocol/protocolVersion': revision,
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' }
}
/** A request of either era: what goes into its headers and what into its params. */
const eras = {
  [revision]: (method: string, name?: string) => ({ headers: { 'mcp-protocol-version': revision, 'mcp-method': method, ...(name !== undefined && { 'mcp-name': name }) }, params: { _meta: envelope } }),
  'the revisions of 2025': () => ({ headers: {}, params: {} })
} as const
type Era = keyof typeof eras
const everyEra = Object.keys(eras) as Era[]

test.for(everyCaller)('%s opens the operations of its level over REST and no other', async (caller, { app }) => {
  const verdicts: Record<string, string> = {}
  for (const operation of shown(app)) verdicts[operation.id] = verdictOf(await app.inject({ ...inputOf(operation), headers: headersFor(operation, caller) }))

  expect(verdicts).toEqual(Object.fromEntries(shown(app).map(({ id, access }) =>
    [id, rank[access] <= callers[caller].rank ? 'let through' : callers[caller].rank === 0 ? 'unauthorized' : 'forbidden'])))
})

test.for(everyEra.flatMap((era) => everyCaller.map((caller) => [caller, era] as const)))('%s opens the tools of its level and no other, in %s', async ([caller, era], { app }) => {
  const verdicts: Record<string, string> = {}
  for (const operation of shown(app)) verdicts[operation.id] = toolVerdictOf(await rpc(app, caller, era, 'tools/call', { name: operation.id, arguments: inputFor(operation).args }))

  expect(verdicts).toEqual(Object.fromEntries(shown(app).map((operation) => [operation.id, expectedOfTool(operation, callers[caller].rank)])))
})

test.for(everyEra.flatMap((era) => everyCaller.map((caller) => [caller, era] as const)))('%s sees the tools of its level and no other, in %s', async ([caller, era], { app }) => {
  const answer = await rpc(app, caller, era, 'tools/list')
  const listed = replyOf(answer)?.result?.tools?.map(({ name }) => name)

  expect(answer.statusCode).toBe(callers[caller].rank === 0 ? 401 : 200)
  expect(listed?.sort()).toEqual(callers[caller].rank === 0 ? undefined : shown(app).filter((operation) => expectedOfTool(operation, callers[caller].rank) === 'let through').map(({ id }) => id).sort())
})

test('the matrix has operations of every level, tools and others', ({ app }) => {
  const kinds = shown(app).map((operation) => `${operation.access} ${reasonAgainst(operation) === undefined ? 'tool' : 'no tool'}`)

  expect([...new Set(kinds)].sort()).toEqual(['admin no tool', 'admin tool', 'public no tool', 'public tool', 'user no tool', 'user tool'])
})

test('a call that is refused asks the Core for nothing but the verdict on the key', async ({ app, core }) => {
  const before = core.calls.length
  for (const operation of shown(app).filter(({ access }) => access === 'admin')) {
    for (const caller of ['no key', 'a wrong key', 'a user key'] as const) await app.inject({ ...inputOf(operation), headers: headersFor(operation, caller) })
    for (const era of everyEra) await rpc(app, 'a user key', era, 'tools/call', { name: operation.id, arguments: inputFor(operation).args })
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
  const urls = new Set(shown(app).filter(({ access }) => access === 'admin').map((operation) => inputOf(operation).url))
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
  return inputFor(operation).request
}

function headersFor ({ contract: { body } }: Operation, caller: Caller) {
  return { ...callers[caller].headers, accept: 'application/json, text/event-stream', ...(body !== undefined && { 'content-type': 'application/json' }) }
}

/** A fault of the input or of the server is a verdict of its own, so that it cannot pass for "let through". */
function verdictOf ({ statusCode }: Answer): string {
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

function expectedOfTool (operation: Operation, level: number): string {
  if (level === 0) return 'unauthorized'
  if (reasonAgainst(operation) !== undefined) return '-32602'
  return rank[operation.access] <= level ? 'let through' : 'forbidden'
}

async function rpc (app: FastifyInstance, caller: Caller, era: Era, method: string, params: Record<string, unknown> = {}): Promise<Answer> {
  const { headers, params: more } = eras[era](method, params.name as string | undefined)
  return await app.inject({
    method: 'POST',
    url: '/mcp',
    headers: { ...callers[caller].headers, host: 'localhost', accept: 'application/json, text/event-stream', ...headers },
    payload: { jsonrpc: '2.0', id: 1, method, params: { ...more, ...params } }
  })
}

/** The one JSON-RPC answer, plain or as an event; undefined for a failure of HTTP. */
function replyOf ({ statusCode, body }: Answer): Reply | undefined {
  return statusCode === 401 ? undefined : JSON.parse(body.replace(/^(?:event: message\n|id: .*\n|:.*\n|\n)*data: /, '')) as Reply
}
