import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import type { TProperties } from '@sinclair/typebox'
import { checked, readBody } from './body.ts'
import { type CoreCall, remember, withoutSecrets } from './calls.ts'
import { type Answer, CoreError, failure, newId, type RequestIds, success } from './envelope.ts'
import { writeGarbage } from './garbage.ts'
import { authorize, levelOf } from './keys.ts'
import { createRouter, type Match, type Route } from './router.ts'
import type { State } from './state.ts'
import { folded } from './users.ts'

interface Exchange {
  req: IncomingMessage
  res: ServerResponse
  ids: RequestIds
  call: CoreCall
  gone: AbortSignal
}

/** Answers requests: faults first, then path and method, key, user, body, handler. */
export function createListener (state: State, routes: Route[]): RequestListener {
  const find = createRouter(routes, state.prefix)

  return (req, res) => {
    const exchange = begin(state, req, res)
    serve(state, find, exchange).catch((err: unknown) => refuse(exchange, err))
  }
}

function begin ({ calls, keys, prefix }: State, req: IncomingMessage, res: ServerResponse): Exchange {
  const { method = '', url = '/', headers } = req
  const { traceparent } = headers
  const [path = '', ...query] = url.split('?')
  const user = headers['x-muxi-user-id']
  const call: CoreCall = {
    method,
    path,
    query: query.length === 0 ? '' : `?${query.join('?')}`,
    level: levelOf(headers, keys),
    aborted: false,
    ...(typeof user === 'string' && user !== '' && { user: folded(user) }),
    ...(typeof traceparent === 'string' && { traceparent })
  }
  if (!path.startsWith(`${prefix}/__`)) remember(calls, call)

  // said outright, so that Node adds no hint of its keep-alive time-out: the real Core gives none
  if (headers.connection?.toLowerCase() !== 'close') res.setHeader('connection', 'keep-alive')
  const gone = new AbortController()
  res.once('close', () => {
    if (res.headersSent) call.status = res.statusCode
    if (res.writableFinished) return
    // a socket that this side destroyed has no reader that left
    call.aborted = req.socket.readableEnded || req.socket.errored !== null
    gone.abort()
  })
  const idempotencyKey = headers['x-muxi-idempotency-key']
  return { req, res, call, gone: gone.signal, ids: { id: newId('req'), idempotencyKey: typeof idempotencyKey === 'string' ? idempotencyKey : null } }
}

async function serve (state: State, find: (method: string, path: string) => Match, exchange: Exchange): Promise<void> {
  const { req, res, call, ids, gone } = exchange
  const isControl = call.path.startsWith(`${state.prefix}/__`)
  if (!isControl && await strike(state, exchange)) return

  const { route, params } = find(call.method, call.path)
  authorize(route.level, req.headers, state.keys)
  const isAdmin = route.level !== 'client' && call.level === 'admin'
  if (route.user === 'always' || (route.user === 'client' && !isAdmin)) {
    if (call.user === undefined) throw new CoreError(400, 'INVALID_REQUEST', 'the header X-Muxi-User-Id is required')
  }
  const query = route.query ? checked(route.query, queryOf(route.query.properties, call.query)) : {}
  const body = await readBody(req, route)
  if (body !== undefined && !route.form) call.body = withoutSecrets(body)

  if (route.method !== 'GET') res.once('close', () => state.changed())
  const answer = await route.handle({ params, query, body, user: call.user, isAdmin, headers: req.headers, ids, call, gone, res })
  if (answer) write(exchange, answer)
}

/** Lets the faults of this request happen; true when one of them was the answer. */
async function strike ({ faults }: State, { res, call, gone }: Exchange): Promise<boolean> {
  const delay = faults.take('delayMs', call)
  if (delay) await wait(delay.delayMs, undefined, { signal: gone }).catch(() => {})
  if (gone.aborted) return true

  if (faults.take('drop', call)) {
    res.destroy()
    return true
  }
  const fixed = faults.take('status', call)
  if (fixed) {
    const { status, body = '', headers = { 'content-type': 'text/plain' } } = fixed
    res.writeHead(status, headers).end(body)
    return true
  }
  const garbage = faults.take('garbage', call)
  if (garbage) await writeGarbage(res, garbage.garbage, gone)
  return garbage !== undefined
}

function write ({ res, ids, call }: Exchange, answer: Answer): void {
  const { status = 200 } = answer
  call.status = status
  if ('bare' in answer) return send(res, status, answer.bare, answer.headers)
  send(res, status, success(answer, { ...ids, id: answer.requestId ?? ids.id }))
}

function refuse ({ res, ids, call }: Exchange, err: unknown): void {
  if (res.destroyed) return
  if (res.headersSent) {
    res.destroy()
    return
  }
  const known = err instanceof CoreError ? err : new CoreError(500, 'INTERNAL_ERROR', err instanceof Error ? err.message : String(err))
  call.status = known.status
  send(res, known.status, failure(known, ids))
}

function send (res: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  const text = JSON.stringify(body)
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), vary: 'Origin', ...headers }).end(text)
}

/** The query as its schema sees it: numbers and booleans out of their texts, where they are that. */
function queryOf (properties: TProperties, query: string): Record<string, unknown> {
  return Object.fromEntries([...new URLSearchParams(query)].map(([name, text]) => {
    const type: unknown = properties[name]?.type
    if (type === 'integer' && /^-?\d+$/.test(text)) return [name, Number(text)]
    if (type === 'number' && /^-?(\d+(\.\d+)?|\.\d+)(e[+-]?\d+)?$/i.test(text)) return [name, Number(text)]
    if (type === 'boolean' && /^(true|false)$/.test(text)) return [name, text === 'true']
    return [name, text]
  }))
}
