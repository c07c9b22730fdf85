import { ApiError } from '../errors.ts'
import type { Access } from '../schemas/contract.ts'
import { type Answer, parseAnswer } from './envelope.ts'

/** What the Core says of a key; undefined where it says no. */
export interface Verdict {
  access: Exclude<Access, 'public'>
  /** The end user that the key is bound to. */
  sub?: string
  /** When the key ends, in seconds since 1970. */
  exp?: number
}

/** Sends one small request; the client gives it the address, the time-out and the retries. */
export type Send = (request: { method: 'GET' | 'POST', path: string, headers: Record<string, string>, body?: string }) => Promise<Answer>

/** Asks the Core's introspection endpoint (RFC 7662) with the server's own admin key. An answer of another shape is an error, never a yes. */
export async function introspect (send: Send, adminKey: string, key: string): Promise<Verdict | undefined> {
  const answer = await send({
    method: 'POST',
    path: '/v1/auth/introspect',
    headers: { 'x-muxi-admin-key': adminKey, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token: key }).toString()
  })
  if (answer.status !== 200) throw refused(answer)
  const { active, scope, sub, exp } = (parseAnswer(answer.text) ?? {}) as Record<string, unknown>
  if (active === false) return undefined
  const scopes = typeof scope === 'string' ? scope.split(' ') : []
  const access = scopes.includes('admin') ? 'admin' : scopes.includes('user') ? 'user' : undefined
  // A level that is not known, or a bound user that cannot be read: to guess could open too much.
  if (active !== true || access === undefined || (isPresent(sub) && typeof sub !== 'string') || (isPresent(exp) && typeof exp !== 'number')) throw refused(answer)
  if (typeof exp === 'number' && exp * 1_000 <= Date.now()) return undefined
  return { access, ...(typeof sub === 'string' && sub !== '' && { sub }), ...(typeof exp === 'number' && { exp }) }
}

/** Finds the level of a key at a Core without introspection: one call that only admins may make, one that only clients may. */
export async function probe (send: Send, key: string): Promise<Verdict | undefined> {
  const probes = [
    { access: 'admin', path: '/v1/overlord/soul', header: 'x-muxi-admin-key' },
    { access: 'user', path: '/v1/sops', header: 'x-muxi-client-key' }
  ] as const
  // A generated key's prefix tells which to try first; it decides nothing.
  for (const { access, path, header } of key.startsWith('sk_muxi_user_') || key.startsWith('sk_muxi_client_') ? probes.toReversed() : probes) {
    const answer = await send({ method: 'GET', path, headers: { [header]: key } })
    if (answer.status >= 200 && answer.status < 300) {
      if ((parseAnswer(answer.text) as { success?: unknown } | null)?.success === true) return { access }
      throw refused(answer)
    }
    if (answer.status !== 401 && answer.status !== 403) throw refused(answer)
  }
  return undefined
}

function isPresent (value: unknown): boolean {
  return value !== undefined && value !== null
}

function refused ({ status }: Answer): ApiError {
  if (status === 429 || status === 503) return new ApiError('core_unavailable', 'the MUXI Core cannot check keys now', { retryAfter: 2 })
  return new ApiError('core_error', 'the MUXI Core gave no usable verdict on the key', { cause: `status ${status}` })
}
