import { ApiError } from '../errors.ts'
import type { Access } from '../schemas/contract.ts'
import { type Answer, parseAnswer, retryAfterOf } from './envelope.ts'
import type { SignedReader } from './signed.ts'

/** What is said of a key; undefined stands for no. */
export interface Verdict {
  access: Exclude<Access, 'public'>
  /** The end user that the key is bound to. */
  sub?: string
  /** When the key ends, in seconds since 1970. */
  exp?: number
  /** The Core does not take it: for its holder the server's own keys are used. */
  foreign?: true
}

/** Which roles and scopes give which level. */
export interface Roles { admin_roles: string[], user_roles: string[] }

/** Sends one small request; the client gives it the address, the time-out and the retries. */
export type Send = (request: { method: 'GET' | 'POST', path: string, headers: Record<string, string>, body?: string }) => Promise<Answer>

/** Asks the Core's introspection endpoint (RFC 7662) with the server's own admin key; `signed` reads answers that are JWTs (RFC 9701). An answer of another shape is an error, never a yes. */
export async function introspect (send: Send, key: string, { adminKey, roles, signed }: { adminKey: string, roles: Roles, signed?: SignedReader | undefined }): Promise<Verdict | undefined> {
  const answer = await send({
    method: 'POST',
    path: '/v1/auth/introspect',
    headers: {
      'x-muxi-admin-key': adminKey,
      accept: signed === undefined ? 'application/json' : 'application/token-introspection+jwt',
      'content-type': 'application/x-www-form-urlencoded'
    },
    body: new URLSearchParams({ token: key }).toString()
  })
  if (answer.status !== 200) throw refused(answer)
  const claims = signed === undefined ? parseAnswer(answer.text) : (await signed(answer.text))?.token_introspection
  const { active } = (claims ?? {}) as Record<string, unknown>
  if (active === false) return undefined
  const verdict = active === true ? verdictOf(claims as Record<string, unknown>, roles) : 'unreadable'
  if (typeof verdict === 'string') throw refused(answer)
  return verdict
}

/** Level, subject and end in the claims of a good token; undefined past its end. Roles that are not known open nothing; a subject or an end that cannot be read must not be guessed. */
export function verdictOf ({ sub, exp, ...claims }: Record<string, unknown>, { admin_roles: admins, user_roles: users }: Roles): Verdict | 'unreadable' | 'without level' | undefined {
  if ((isPresent(claims.scope) && typeof claims.scope !== 'string') || (isPresent(sub) && typeof sub !== 'string') || (isPresent(exp) && typeof exp !== 'number')) return 'unreadable'
  const roles = ['scope', 'scp', 'roles', 'role'].flatMap((name) => namesIn(claims[name]))
  const access = roles.some((role) => admins.includes(role)) ? 'admin' : roles.some((role) => users.includes(role)) ? 'user' : undefined
  if (access === undefined) return 'without level'
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

/** One word, words with blanks between (RFC 6749, section 3.3), or a list. */
function namesIn (value: unknown): string[] {
  return typeof value === 'string' ? value.split(' ') : Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

function isPresent (value: unknown): boolean {
  return value !== undefined && value !== null
}

function refused ({ status, headers }: Answer): ApiError {
  if (status === 429 || status >= 500) return new ApiError('core_unavailable', 'the MUXI Core cannot check keys now', { cause: `status ${status}`, retryAfter: retryAfterOf(headers) ?? 2 })
  return new ApiError('core_error', 'the MUXI Core gave no usable verdict on the key', { cause: `status ${status}` })
}
