import { randomInt } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { CoreError } from './envelope.ts'
import { Type } from '@sinclair/typebox'
import { route, type Level, type Route } from './router.ts'

export interface KeyRecord {
  scope: 'user' | 'admin'
  /** the user that the key stands for, when it stands for one */
  sub?: string
  client_id?: string
  /** end of life in seconds since 1970 */
  exp?: number
  revoked?: boolean
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const unauthorized = (message: string) => new CoreError(401, 'UNAUTHORIZED', message)

/** A key in the form that MUXI keys have. */
export function newKey (scope: KeyRecord['scope']): string {
  return `sk_muxi_${scope}_` + Array.from({ length: 24 }, () => letters[randomInt(letters.length)]).join('')
}

/** Which level the keys of a request reach; admin is tried first. */
export function levelOf (headers: IncomingHttpHeaders, keys: Map<string, KeyRecord>): 'admin' | 'client' | 'none' {
  if (holds(headers['x-muxi-admin-key'], 'admin', keys)) return 'admin'
  if (holds(headers['x-muxi-client-key'], 'user', keys)) return 'client'
  return 'none'
}

/** Turns away a request whose keys do not open a route of this level. */
export function authorize (level: Level, headers: IncomingHttpHeaders, keys: Map<string, KeyRecord>): void {
  if (level === 'none') return
  const admin = headers['x-muxi-admin-key']
  const client = headers['x-muxi-client-key']
  // the real Core compares with a function that takes ASCII only and fails on anything else
  if (level !== 'client') refuseNonAscii(admin)
  if (level !== 'admin') refuseNonAscii(client)

  const isAdmin = holds(admin, 'admin', keys)
  const isClient = holds(client, 'user', keys)
  if (level === 'either' && !isAdmin && !isClient) throw unauthorized('a valid key is required in X-Muxi-Admin-Key or X-Muxi-Client-Key')
  if (level === 'admin' && !isAdmin) throw unauthorized(admin === undefined ? 'a valid admin key is required in X-Muxi-Admin-Key' : 'invalid admin key')
  if (level === 'client' && !isClient) throw unauthorized(client === undefined ? 'a valid client key is required in X-Muxi-Client-Key' : 'invalid client key')
}

/** Extension: tells the level and the life of a key, in the form of RFC 7662. */
export function keyRoutes ({ keys }: { keys: Map<string, KeyRecord> }): Route[] {
  return [route({
    method: 'POST',
    path: '/v1/auth/introspect',
    level: 'admin',
    extension: true,
    summary: 'Tell whether a key is valid, and its level',
    form: true,
    body: Type.Object({ token: Type.String({ minLength: 1 }), token_type_hint: Type.Optional(Type.String()) }),
    handle: ({ body }) => {
      const record = keys.get(body.token)
      const headers = { 'cache-control': 'no-store' }
      if (!record || !isActive(record)) return { bare: { active: false }, headers }
      const { revoked, ...rest } = record
      return { bare: { active: true, ...rest }, headers }
    }
  })]
}

function holds (key: string | string[] | undefined, scope: KeyRecord['scope'], keys: Map<string, KeyRecord>): boolean {
  const record = typeof key === 'string' ? keys.get(key) : undefined
  return record !== undefined && record.scope === scope && isActive(record)
}

function isActive ({ revoked = false, exp = Infinity }: KeyRecord): boolean {
  return !revoked && exp > Date.now() / 1000
}

function refuseNonAscii (key: string | string[] | undefined): void {
  if (typeof key === 'string' && /[\u0080-\uffff]/.test(key)) {
    throw new CoreError(500, 'INTERNAL_ERROR', 'comparing strings with non-ASCII characters is not supported')
  }
}
