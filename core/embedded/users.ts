import { Type } from '@sinclair/typebox'
import { invalidMember } from './body.ts'
import { CoreError, newId, seconds } from './envelope.ts'
import { route, type Route } from './router.ts'

export interface KnownUser {
  identifier: string
  muxi_user_id: string
  internal_user_id: number
  /** what kind of identifier it is, where that was told */
  type?: string
  created_at: number
  last_seen_at: number
  message_count: number
}

/** The users that have chatted or were resolved. */
export class Users {
  readonly byIdentifier: Map<string, KnownUser>

  constructor (known: KnownUser[] = []) {
    this.byIdentifier = new Map(known.map((user) => [user.identifier, user]))
  }

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

  /** Gives another identifier to the user with this MUXI id; undefined when nobody has that id. */
  associate (id: string, identifier: string, type = 'unknown'): KnownUser | undefined {
    const user = this.of(id)[0]
    if (!user) return undefined
    const now = seconds()
    const same = { ...user, identifier, type, created_at: now, last_seen_at: now, message_count: 0 }
    this.byIdentifier.set(identifier, same)
    return same
  }

  /** What a MUXI id is known as. */
  of (id: string): KnownUser[] {
    return [...this.byIdentifier.values()].filter(({ muxi_user_id: of }) => of === id)
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
    }),
    route({
      method: 'GET',
      path: '/v1/users/identifiers/{user}',
      level: 'client',
      summary: 'List what a user is known as',
      handle: ({ params: { user = '' } }) => {
        const known = users.of(user)
        if (!known[0]) throw new CoreError(404, 'RESOURCE_NOT_FOUND', 'User not found')
        const identifiers = known.map(({ identifier, type = 'unknown', created_at: at }) => ({ identifier, type, created_at: new Date(at * 1000).toISOString() }))
        const { muxi_user_id: id, internal_user_id: internal } = known[0]
        return { object: 'user_identifier_list', type: 'user.identifiers.list', data: { muxi_user_id: id, internal_user_id: internal, identifiers, count: known.length } }
      }
    }),
    route({
      method: 'POST',
      path: '/v1/users/identifiers',
      level: 'client',
      summary: 'Give more identifiers to a user',
      body: Type.Object({ muxi_user_id: Type.Optional(Type.String()), identifiers: Type.Array(Type.Unknown(), { minItems: 1, maxItems: 100 }) }),
      handle: ({ body: { muxi_user_id: id, identifiers } }) => {
        // the real Core promises to make a user then, and fails
        if (id === undefined) throw new CoreError(500, 'INTERNAL_ERROR', 'no user to associate the identifiers with')
        const associated = identifiers.map(identifierOf).map(({ identifier, type = 'unknown' }) => {
          if (!users.associate(id, folded(identifier), type)) throw new CoreError(404, 'RESOURCE_NOT_FOUND', 'User not found')
          return { identifier, type }
        })
        return { object: 'user_identifier_list', type: 'user.identifiers.associated', data: { muxi_user_id: id, identifiers: associated, count: associated.length } }
      }
    })
  ]
}

/** An identifier comes as a text, as `[identifier, type]` or as an object of both. */
function identifierOf (given: unknown): { identifier: string, type?: string } {
  const [identifier, type] = typeof given === 'object' && given !== null && !Array.isArray(given)
    ? ['identifier', 'type'].map((name) => Object.entries(given).find(([key]) => key === name)?.[1] as unknown)
    : [given].flat() as unknown[] // whatever is in it is looked at
  if (typeof identifier !== 'string' || identifier === '') throw invalidMember('identifiers', 'an identifier is a text')
  return { identifier, ...(typeof type === 'string' && { type }) }
}
