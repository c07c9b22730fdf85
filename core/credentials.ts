import { ApiError } from '../errors.ts'
import type { Access } from '../schemas/contract.ts'

/** On whose behalf the Core is called. */
export interface Caller {
  /** The caller's own key, where the Core takes it; empty for one known by a token. */
  key: string
  access: Access
  /** Names the caller in records without being the key: a key, or a user that a token is bound to. */
  digest: string
  /** Names the key behind: that of the caller, or the one that its token was made with. */
  keyDigest: string
  /** The key behind, of which the Core can be asked again for as long as something stays open. */
  proof: string
  /** Names the token that the caller showed. */
  tokenDigest?: string | undefined
  /** The end user that the key or token is bound to. */
  sub?: string | undefined
  /** Operations that a token opens; all of its level when absent. */
  scope?: string[] | undefined
}

/** As much of a caller as the Core's calls need. */
export type Actor = Pick<Caller, 'key' | 'access'>

/** Which of the Core's keys a path takes, by its first segment; all others are the admin's. */
const takes: Record<string, 'client' | 'either'> = {
  chat: 'client', sessions: 'client', users: 'client', memories: 'either', memory: 'either', history: 'either', requests: 'either'
}

/** Extensions: the admin's, although other paths of that segment are the client's. */
const adminPaths = /^\/users(?:\/[^/]+\/context)?(?:\?|$)/

/** The caller's own key where the Core takes that kind on the path, else the server's (`own`); 501 where that is not set. */
export function credentialsFor (path: string, caller: Actor, keys: { admin_key?: string, client_key?: string }): { header: string, key: string, own: boolean } {
  const kind = adminPaths.test(path) ? 'admin' : takes[routeOf(path)] ?? 'admin'
  const asAdmin = kind === 'admin' || (kind === 'either' && caller.access === 'admin')
  const own = caller.key === '' || (caller.access === 'admin') !== asAdmin
  const key = own ? asAdmin ? keys.admin_key : keys.client_key : caller.key
  if (key === undefined) {
    throw new ApiError('not_implemented', `this needs the server's own Core key: set ${asAdmin ? 'MUXI_CORE_ADMIN_KEY' : 'MUXI_CORE_CLIENT_KEY'}`)
  }
  return { header: asAdmin ? 'x-muxi-admin-key' : 'x-muxi-client-key', key, own }
}

/** The first segment of a path. */
export function routeOf (path: string): string {
  let end = 1
  while (end < path.length && path[end] !== '/' && path[end] !== '?') end++
  return path.slice(1, end) || '/'
}
