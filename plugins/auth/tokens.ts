import { hkdfSync, randomBytes } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { Access } from '../../schemas/contract.ts'

/** What a token stands for. It is derived from a key, which it carries sealed, so that the Core can be asked of that key at each use. */
export interface Grant {
  kind: 'user' | 'ticket'
  /** Names this token, for its single use. */
  id: string
  key: string
  /** At most; the key's own level is another bound. */
  access: Exclude<Access, 'public'>
  sub?: string | undefined
  /** Operations that it opens, `*` at the end of a name for all that begin so; all of its level when absent. */
  scope?: string[] | undefined
  /** Seconds since 1970. */
  exp: number
}

/** Makes and opens tokens. Nothing is kept of them: all that they say is in them, enciphered and authenticated (AES-256-GCM). */
export class Tokens {
  readonly #seals: Partial<Record<Grant['kind'], FastifyInstance['seal']>>

  /** User tokens have a secret of their own, without which there are none; tickets live for 30 s, and have that of the deployment. */
  constructor ({ sealWith, secretFor }: Pick<FastifyInstance, 'sealWith' | 'secretFor'>, userSecret: string | undefined) {
    const user = userSecret === undefined ? {} : { user: sealWith(Buffer.from(hkdfSync('sha256', userSecret, '', 'user tokens', 32))) }
    this.#seals = { ticket: sealWith(secretFor('stream tickets')), ...user }
  }

  /** undefined: tokens of this kind are off. */
  issue (grant: Omit<Grant, 'id'>): string | undefined {
    const prefix = prefixOf(grant.kind)
    const sealed = this.#seals[grant.kind]?.close(JSON.stringify({ ...grant, id: randomBytes(12).toString('base64url') } satisfies Grant), prefix)
    return sealed === undefined ? undefined : prefix + Buffer.from(sealed, 'base64').toString('base64url')
  }

  /** undefined: it is no token of ours, or at its end. */
  open (token: string): Grant | undefined {
    if (!token.startsWith('muxi_')) return undefined
    for (const kind of ['user', 'ticket'] as const) {
      const prefix = prefixOf(kind)
      if (!token.startsWith(prefix)) continue
      const text = this.#seals[kind]?.open(Buffer.from(token.slice(prefix.length), 'base64url').toString('base64'), prefix)
      const grant = text === undefined ? undefined : JSON.parse(text) as Grant
      return grant === undefined || grant.exp * 1_000 <= Date.now() ? undefined : grant
    }
    return undefined
  }
}

/** Whether a grant opens an operation. */
export function covers (scope: Grant['scope'], operationId: string): boolean {
  return scope === undefined || scope.some((name) => name.endsWith('*') ? operationId.startsWith(name.slice(0, -1)) : operationId === name)
}

function prefixOf (kind: Grant['kind']): string {
  return `muxi_${kind}_`
}
