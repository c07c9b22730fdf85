import { expect } from 'vitest'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import type { EmbeddedCore } from '../../../core/embedded/index.ts'
import { responseHeaders } from '../../../schemas/headers.ts'
import { as, sharedWith } from '../../app.ts'
import { inputFor } from '../../inputs.ts'
import { documentsWith, operationsIn, resolved, type Answer } from './document.ts'

const { openapi } = await documentsWith()
const operations = operationsIn(resolved(openapi, openapi))

/** With limits, so that their headers are there, and with streams that soon end by themselves. */
const test = sharedWith({ MUXI_API_RATE_LIMIT: '100000', MUXI_API_RATE_LIMIT_MCP: '100000', MUXI_API_STREAM_LIFE_MS: '20', MUXI_API_STREAM_HEARTBEAT_MS: '100' })

const json = { 'content-type': 'application/json' }
type Change = (request: InjectOptions) => InjectOptions
const changes: Record<string, Change> = {
  'as it should be': (request) => request,
  'a second time': (request) => request,
  'by a user': (request) => ({ ...request, headers: { ...request.headers, ...as('user') } }),
  'without a key': ({ headers: { authorization: _, ...headers } = {}, ...request }) => ({ ...request, headers }),
  'with an unknown parameter': (request) => ({ ...request, url: `${String(request.url)}${String(request.url).includes('?') ? '&' : '?'}nonsense=1` }),
  'with a body of text': (request) => ({ ...request, headers: { ...request.headers, 'content-type': 'text/plain' }, payload: 'x' }),
  'with half a body': (request) => ({ ...request, headers: { ...request.headers, ...json }, payload: '{' }),
  'with a body too large': (request) => ({ ...request, headers: { ...request.headers, ...json }, payload: `"${'x'.repeat(17 * 1_048_576)}"` }),
  'for JSON alone': (request) => ({ ...request, headers: { ...request.headers, accept: 'application/json' } }),
  'for an unknown agent': (request) => ({ ...request, url: String(request.url).replace('/agents/greeter', '/agents/nobody') }),
  'with a key of its own': (request) => ({ ...request, headers: { ...request.headers, 'idempotency-key': 'k' } }),
  'with that key and another user': (request) => ({ ...request, headers: { ...request.headers, 'idempotency-key': 'k', 'x-muxi-user-id': 'u2' } }),
  'after an event that is not kept': (request) => ({ ...request, headers: { ...request.headers, 'last-event-id': 'msg_x:1' } }),
  'if it were another': (request) => ({ ...request, headers: { ...request.headers, 'if-match': '"x"' } }),
  'if it is another': (request) => ({ ...request, headers: { ...request.headers, 'if-none-match': '*' } })
}
const troubles: Record<string, Parameters<EmbeddedCore['fail']>[0]> = {
  'while the Core hangs up': { drop: true },
  'while the Core fails': { status: 500 },
  'while the Core is overloaded': { status: 503 },
  'while the Core is slow': { status: 504 },
  'while the Core cannot': { status: 501 }
}

test.for(Object.keys(changes))('what is answered %s is in the document', async (name, { app }) => {
  for (const operation of shown(app)) check(operation.id, await app.inject(changes[name]!(requestOf(operation))))
})

test.for(Object.keys(troubles))('what is answered %s is in the document', async (name, { app, core }) => {
  // The key is known from here on: what fails is the call itself.
  await app.inject({ url: '/api/v1/agents', headers: as('admin') })
  const heal = core.fail(troubles[name]!)
  for (const operation of shown(app)) check(operation.id, await app.inject(requestOf(operation)))
  heal()
})

function shown (app: FastifyInstance): FastifyInstance['operations'] {
  return app.operations.filter(({ hidden }) => !hidden)
}

function requestOf (operation: FastifyInstance['operations'][number]): InjectOptions {
  const { request } = inputFor(operation)
  const accept = operation.id === 'mcp_message_send' ? { accept: 'application/json, text/event-stream' } : {}
  return { ...request, headers: { ...as('admin'), host: 'localhost', ...accept, ...(request.payload !== undefined && json) } }
}

/** Status, code, media type and headers of an answer must be foreseen. */
function check (id: string, { statusCode, headers, body }: LightMyRequestResponse): void {
  const foreseen: Answer | undefined = operations.get(id)!.responses[statusCode]
  const what = `${id} ${statusCode} ${body.slice(0, 200)}`
  expect.soft(foreseen, what).toBeDefined()
  const type = String(headers['content-type'] ?? '').split(';', 1)[0]!
  if (body !== '') expect.soft(Object.keys(foreseen?.content ?? {}), what).toContain(type)
  const told = Object.keys(foreseen?.headers ?? {}).map((name) => name.toLowerCase())
  // Every answer forbids keeping it; documents tell of those that allow it.
  const sent = Object.keys(responseHeaders).map((name) => name.toLowerCase()).filter((name) => headers[name] !== undefined && headers[name] !== 'no-store' && name !== 'cache-control')
  expect.soft(sent.filter((name) => !told.includes(name)), what).toEqual([])
  const code = statusCode >= 400 && type === 'application/json' ? (JSON.parse(body) as { error?: { code?: unknown } }).error?.code : undefined
  if (typeof code === 'string') expect.soft(foreseen?.['x-error-codes'] ?? [], what).toContain(code)
}
