import { Type } from '@sinclair/typebox'
import { CoreError, newId, seconds } from './envelope.ts'
import { route, type Route } from './router.ts'

export interface KnownUser {
  identifier: string
  muxi_user_id: string
  internal_user_id: number
  created_at: number
  last_seen_at: number
  message_count: number
}

/** The users that have chatted or were resolved. */
export class Users {
  readonly byIdentifier = new Map<string, KnownUser>()

  /** The user with this identifier; created when unknown. */
  resolve (identifier: string): KnownUser {
    const known = this.byIdentifier.get(identifier)
    if (known) return known
    const now = seconds()
    const created = {
      identifier, muxi_user_id: newId('usr'), internal_user_id: this.byIdentifier.size + 1, created_at: now, last_seen_at: now, message_count: 0
    }
    this.byIdentifier.set(identifier, created)
    return created
  }

  /** Notes that a user has said something. */
  seen (identifier: string): void {
    const user = this.resolve(identifier)
    user.last_seen_at = seconds()
    user.message_count++
  }
}

/** A user id as the Core compares it: an e-mail address in lower case. */
export function folded (user: string): string {
  return /^[^\s@]+@[^\s@]+$/.test(user) ? user.toLowerCase() : user
}

/** Looking users up by an identifier. */
export function userRoutes ({ users }: { users: Users }): Route[] {
  const answer = ({ identifier, muxi_user_id: id, internal_user_id: internal }: KnownUser, type: string) =>
    ({ object: 'user', type, data: { identifier, muxi_user_id: id, internal_user_id: internal } })

  return [
    route({
      method: 'GET',
      path: '/v1/users/{identifier}',
      level: 'client',
      summary: 'Read a user that is known',
      handle: ({ params: { identifier = '' } }) => {
        const user = users.byIdentifier.get(folded(identifier))
        if (!user) throw new CoreError(404, 'RESOURCE_NOT_FOUND', 'User not found')
        return answer(user, 'user.retrieved')
      }
    }),
    route({
      method: 'POST',
      path: '/v1/users/resolve',
      level: 'client',
      summary: 'Read a user, created when unknown',
      body: Type.Object({ identifier: Type.String({ minLength: 1, maxLength: 1000 }) }),
      handle: ({ body }) => answer(users.resolve(folded(body.identifier)), 'user.resolved')
    })
  ]
}
