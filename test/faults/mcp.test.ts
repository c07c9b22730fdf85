// What goes wrong on the way of a message of the Model Context Protocol, in both eras.
import { describe, expect } from 'vitest'
import { as, test as base } from '../app.ts'
import { startIssuer, type Issuer } from '../fixtures/issuer.ts'
import { eras, errorIn, messageOf, messagesIn, speak, type Era } from '../plugins/mcp/speak.ts'

const test = base
const mib = 1_048_576
const json = (value: unknown) => JSON.stringify(value)
const list = (era: Era) => JSON.parse(messageOf('tools/list', {}, { era }).payload) as Record<string, unknown>
const agentGet = { name: 'agent_get', arguments: { agent_id: 'greeter' } }
/** What the SDK refuses with another status in the two eras. */
const unknownMethod = { modern: 404, old: 200 } as const

describe.for(eras)('in the %s era', (era) => {
  test.for([
    ['a foreign Origin', { origin: 'https://evil.example' }], ['an Origin without a host', { origin: 'null' }], ['an Origin that only begins like ours', { origin: 'http://localhost.evil.example' }],
    ['a name that was bound to this address', { host: 'evil.rebind' }], ['such a name with a port', { host: 'evil.rebind:8000' }]
  ] as const)('%s is 403 at every endpoint, and reaches nothing', async ([, headers], { app, core }) => {
    const message = messageOf('tools/call', agentGet, { era, headers })
    const before = core.calls.length
    const answers = [
      await app.inject(message),
      await app.inject({ ...message, url: '/api/v1/mcp/request' }),
      await app.inject({ ...message, url: '/api/v1/mcp/request?session_id=mcs_x' }),
      await app.inject({ method: 'GET', url: '/mcp', headers: message.headers }),
      await app.inject({ method: 'DELETE', url: '/mcp', headers: message.headers }),
      await app.inject({ method: 'GET', url: '/api/v1/mcp/stream', headers: message.headers })
    ]

    expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(6).fill(403))
    // Its key is looked at first.
    expect(core.calls.slice(before).filter(({ path }) => path.includes('/agents/'))).toEqual([])
  })

  test.for<[string, (one: Record<string, unknown>) => string, number, number]>([
    ['an empty batch', () => '[]', 400, -32_600],
    ['a message without jsonrpc', ({ jsonrpc, ...rest }) => json(rest), 400, -32_600],
    ['jsonrpc 1.0', (one) => json({ ...one, jsonrpc: '1.0' }), 400, -32_600],
    ['an id of null', (one) => json({ ...one, id: null }), 400, -32_600],
    ['an id that is an object', (one) => json({ ...one, id: {} }), 400, -32_600],
    ['an id that is a fraction', (one) => json({ ...one, id: 1.5 }), 400, -32_600],
    ['a method that is a number', (one) => json({ ...one, method: 5 }), 400, -32_600],
    ['params that are a list', (one) => json({ ...one, params: [] }), 400, -32_600],
    ['a text', () => '"tools/list"', 400, -32_600],
    ['null', () => 'null', 400, -32_600],
    ['no body', () => '', 400, -32_700],
    ['half of a body', (one) => json(one).slice(0, -5), 400, -32_700],
    ['a body with __proto__', (one) => json(one).replace('"method"', '"__proto__":{"polluted":1},"method"'), 400, -32_700],
    ['arguments with __proto__', () => json({ ...list(era), method: 'tools/call', params: agentGet }).replace('"agent_id"', '"__proto__":{"polluted":1},"agent_id"'), 400, -32_700]
  ])('%s is refused with its code and status', async ([, payload, status, code], { app }) => {
    const res = await app.inject({ ...messageOf('tools/list', {}, { era }), payload: payload(list(era)) })

    expect([res.statusCode, messagesIn(res.body).at(-1)!.error!.code]).toEqual([status, code])
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  test('a batch is served where the revision has batches, and only up to a hundred', async ({ app }) => {
    const batch = (size: number) => json(Array.from({ length: size }, (_, id) => ({ ...list(era), id })))
    const send = async (size: number, headers: Record<string, string> = {}) => await app.inject({ ...messageOf('tools/list', {}, { era, headers }), payload: batch(size) })
    const [two, later, many] = [await send(2), await send(2, { 'mcp-protocol-version': '2025-06-18' }), await send(101)]

    if (era === 'old') expect([two.statusCode, messagesIn(two.body).map(({ id }) => id)]).toEqual([200, [0, 1]])
    else expect([two.statusCode, two.json()]).toMatchObject([400, { error: { code: -32_600 } }])
    expect([later.statusCode, later.json()]).toMatchObject([400, { error: { code: -32_600 } }])
    expect([many.statusCode, many.json()]).toMatchObject([400, { error: { code: -32_600 } }])
  })

  test('an unknown method is -32601', async ({ app }) => {
    expect(await speak(app, 'tools/explode', {}, { era })).toMatchObject({ status: unknownMethod[era], error: { code: -32_601 } })
  })

  test.for([['without a name', { arguments: {} }], ['whose arguments are a list', { name: 'agent_list', arguments: [] }], ['of a tool that does not exist', { name: 'agent_explode' }]] as const)('a call %s is -32602', async ([, params], { app }) => {
    expect(await speak(app, 'tools/call', params, { era })).toMatchObject({ status: 200, error: { code: -32_602 } })
  })

  test('arguments of 1 MiB are refused by their contract, those of 17 MiB before they are read', async ({ app, core }) => {
    const large = await speak(app, 'tools/call', { name: 'chat_send', arguments: { content: 'x'.repeat(mib) } }, { era })
    const { statusCode } = await app.inject(messageOf('tools/call', { name: 'chat_send', arguments: { content: 'x'.repeat(17 * mib) } }, { era }))

    expect(large.result).toMatchObject({ isError: true })
    expect(errorIn(large)).toMatchObject({ code: 'bad_request', message: expect.stringContaining('100000') })
    expect(statusCode).toBe(413)
    expect(core.requests.size).toBe(0)
  })

  test('a revision that does not exist is refused with those that do', async ({ app }) => {
    const meta = era === 'modern' ? { 'io.modelcontextprotocol/protocolVersion': '2099-01-01' } : {}
    const { status, error } = await speak(app, 'tools/list', {}, { era, meta, headers: { 'mcp-protocol-version': '2099-01-01' } })

    expect([status, error!.code]).toEqual([400, era === 'modern' ? -32_022 : -32_000])
    expect((error!.data as { supported: string[] }).supported).toContain('2026-07-28')
  })

  test('a user key is denied the tools of admins, and not shown them', async ({ app, core }) => {
    const listed = await speak(app, 'tools/list', {}, { era, level: 'user' })
    const called = await speak(app, 'tools/call', { name: 'agent_delete', arguments: { agent_id: 'greeter' } }, { era, level: 'user' })

    expect(listed.result!.tools!.map(({ name }) => name).filter((name) => app.mcp.tools.get(name)?.operation.access === 'admin')).toEqual([])
    expect(errorIn(called)).toMatchObject({ code: 'forbidden' })
    expect(core.agents.has('greeter')).toBe(true)
  })

  test.for(['html', 'half', 'json', 'empty', 'wrong-envelope', 'endless'] as const)('a Core that answers with garbage (%s) is a failed result', async (garbage, { app, core }) => {
    core.fail({ path: '/v1/agents/greeter', garbage })
    const reply = await speak(app, 'tools/call', agentGet, { era })

    expect(reply).toMatchObject({ status: 200, result: { isError: true } })
    expect(errorIn(reply)).toMatchObject({ code: 'core_error', message: expect.stringContaining(garbage === 'endless' ? 'too large' : 'cannot be used') })
  })

  test.for<[string, Record<string, unknown>]>([
    ['__proto__ made by a later parser', { agent_id: 'greeter', constructor: { prototype: {} } }], ['a piece of another path', { agent_id: '../admin' }], ['an encoded piece of one', { agent_id: '..%2fadmin' }], ['the folder above', { agent_id: '..' }],
    ['a query', { agent_id: 'greeter?x=1' }], ['a fragment', { agent_id: 'greeter#x' }], ['a line end', { agent_id: 'a\r\nX-Muxi-Admin-Key: b' }], ['a zero byte', { agent_id: 'a\u0000' }], ['half of a character', { agent_id: 'a\ud800' }], ['an empty text', { agent_id: '' }]
  ])('arguments with %s are refused, and no other path of the Core is asked', async ([, args], { app, core }) => {
    const before = core.calls.length
    const res = await app.inject(messageOf('tools/call', { name: 'agent_get', arguments: args }, { era }))
    const [reply] = messagesIn(res.body).slice(-1)

    if (reply!.error === undefined) expect(errorIn(reply!).code).toMatch(/^(?:bad_request|not_found)$/)
    else expect(reply!.error.code).toBe(-32_700)
    expect(core.calls.slice(before).filter(({ path }) => !/^\/v1\/(?:agents\/[^/]+|auth\/\w+|keys\/\w+)$/.test(path) || path.includes('admin')).map(({ path }) => path)).toEqual([])
  })

  test.for(['PUT', 'PATCH'] as const)('%s is 405 and says what is taken', async (method, { app }) => {
    const { statusCode, headers } = await app.inject({ ...messageOf('tools/list', {}, { era }), method })

    expect([statusCode, String(headers.allow).split(', ').sort()]).toEqual([405, ['DELETE', 'GET', 'POST']])
  })

  test('GET without a stream that is accepted, and DELETE without a session, are refused', async ({ app }) => {
    const ask = async (method: 'GET' | 'DELETE', accept: string) => (await app.inject({ method, url: '/mcp', headers: { ...as('user'), host: 'localhost', accept, ...(era === 'modern' && { 'mcp-protocol-version': '2026-07-28' }) } })).statusCode

    expect(await ask('GET', 'application/json')).toBe(406)
    expect([405, 406]).toContain(await ask('GET', '*/*'))
    expect(await ask('DELETE', 'application/json')).toBe(era === 'modern' ? 405 : 400)
  })
})

test.for<[string, { headers: Record<string, string> }]>([['the method', { headers: { 'mcp-method': 'tools/list' } }], ['the tool', { headers: { 'mcp-name': 'agent_list' } }], ['the revision', { headers: { 'mcp-protocol-version': '2025-11-25' } }]])('a header that disagrees with the body on %s is 400', async ([, how], { app, core }) => {
  const before = core.calls.length
  const { status, error } = await speak(app, 'tools/call', agentGet, how)

  expect([status, error!.code]).toEqual([400, -32_020])
  expect(core.calls.slice(before).filter(({ path }) => path.includes('/agents/'))).toEqual([])
})

describe.for(eras)('a Core that hangs, in the %s era,', (era) => {
  test.override({ settings: { MUXI_CORE_TIMEOUT_MS: '300', MUXI_CORE_RETRIES: '0' } })

  test('is a failed result that says so', async ({ app, core }) => {
    core.fail({ path: '/v1/agents/greeter', delayMs: 60_000 })
    const reply = await speak(app, 'tools/call', agentGet, { era })

    expect(reply.result).toMatchObject({ isError: true })
    expect(errorIn(reply).code).toBe('core_timeout')
  })
})

describe.for(eras)('a token, in the %s era,', (era) => {
  const test = base.extend<{ issuer: Issuer }>({
    issuer: async ({}, use) => {
      const issuer = await startIssuer()
      await use(issuer)
      await issuer.close()
    }
  }).extend({
    settings: async ({ issuer }: { issuer: Issuer }, use: (value: Record<string, string>) => Promise<void>) => {
      await use({ MUXI_API_JWT_ISSUER: issuer.url, MUXI_API_JWT_AUDIENCE: 'muxi-api', MUXI_API_JWT_JWKS_URI: issuer.jwksUri })
    }
  })

  test('that is meant for another audience is 401, and never shown to the Core', async ({ app, core, issuer }) => {
    const token = await issuer.sign({ sub: 'alice', scope: 'user' }, { audience: 'another-server' })
    const before = core.calls.length
    const { statusCode, headers } = await app.inject(messageOf('tools/call', { name: 'chat_send', arguments: { content: 'Hello' } }, { era, headers: { authorization: `Bearer ${token}` } }))

    expect(statusCode).toBe(401)
    expect(headers['www-authenticate']).toMatch(/^Bearer/)
    expect(core.calls.slice(before)).toEqual([])
  })

  test('that is ours opens its tools, and is not passed on', async ({ app, core, issuer }) => {
    const token = await issuer.sign({ sub: 'alice', scope: 'user' })
    const before = core.calls.length
    const { result } = await speak(app, 'tools/call', { name: 'chat_send', arguments: { content: 'Hello' } }, { era, headers: { authorization: `Bearer ${token}` } })

    expect(result!.structuredContent).toMatchObject({ user_id: 'alice' })
    expect(core.calls.slice(before).every(({ level }) => level !== 'none')).toBe(true)
    expect(JSON.stringify(core.calls)).not.toContain(token)
  })
})
