import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Static, TObject, TSchema } from '@sinclair/typebox'
import { type Answer, CoreError, type RequestIds } from './envelope.ts'
import type { CoreCall } from './calls.ts'

/** Which key opens a route: none, the admin key, the client key, or either. */
export type Level = 'none' | 'admin' | 'client' | 'either'

/** What a handler may look at. */
export interface Input<Body, Query> {
  params: Record<string, string>
  query: Query
  body: Body
  user: string | undefined
  isAdmin: boolean
  headers: IncomingHttpHeaders
  ids: RequestIds
  call: CoreCall
  /** aborts when the client has gone before the end of the answer */
  gone: AbortSignal
  res: ServerResponse
}

export interface Route<Body extends TSchema = TSchema, Query extends TObject = TObject> {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  path: string
  level: Level
  /** X-Muxi-User-Id is required: always, or only of callers with a client key */
  user?: 'always' | 'client'
  /** not in the real Core */
  extension?: boolean
  /** steers the embedded Core itself: not recorded, not listed, out of reach of the faults */
  control?: boolean
  summary: string
  /** the body is form-encoded, not JSON */
  form?: boolean
  body?: Body
  query?: Query
  /** returns nothing when it has written the answer itself */
  handle: (input: Input<Static<Body>, Static<Query>>) => Answer | undefined | Promise<Answer | undefined>
}

/** Declares a route: the handler sees the types of its schemas, the table does not. */
export function route<Body extends TSchema, Query extends TObject> (declared: Route<Body, Query>): Route {
  // a handler is called with exactly what its own schemas let through, so the wider type is safe
  return declared as unknown as Route
}

export interface Match { route: Route, params: Record<string, string> }

/** Finds the route of a path; unknown paths and methods fail before anything else is looked at. */
export function createRouter (routes: Route[], prefix: string): (method: string, path: string) => Match {
  const table = routes.map((route) => {
    const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
    const pattern = new RegExp(`^${escape(prefix)}${route.path.replace(/\./g, '\\.').replace(/\{\w+\}/g, '([^/]+)')}$`)
    return { route, names, pattern }
  })

  return (method, path) => {
    const found = table.filter(({ pattern }) => pattern.test(path))
    const entry = found.find(({ route }) => route.method === method)
    if (found.length === 0) throw new CoreError(404, 'RESOURCE_NOT_FOUND', 'no such path')
    if (!entry) throw new CoreError(405, 'METHOD_NOT_ALLOWED', 'this path does not take that method')
    const values = entry.pattern.exec(path)?.slice(1) ?? []
    return { route: entry.route, params: Object.fromEntries(entry.names.map((name, at) => [name, decode(values[at] ?? '')])) }
  }
}

function escape (text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

function decode (text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new CoreError(404, 'RESOURCE_NOT_FOUND', 'no such path')
  }
}
