import { Type } from '@sinclair/typebox'
import { Timestamp, UserId, withDefault } from './common.ts'
import type { Contract } from './contract.ts'

const Token = (description: string) => Type.String({ description, examples: ['muxi_user_kJ3v…'] })

export const userTokenCreate = {
  operationId: 'user_token_create',
  summary: 'Make a token for one user',
  description: 'For a browser or a phone: short-lived, of level user, bound to one user and, where `scope` is given, to some operations. It is dead when the key that it was made with is. ' +
    'Off unless `MUXI_API_USER_TOKENS_SECRET` is set.',
  tags: ['keys'],
  body: Type.Object({
    user_id: UserId,
    ttl_seconds: withDefault(Type.Integer({ minimum: 10, maximum: 3_600, description: 'How long it lives' }), 900),
    scope: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}\\*?$', maxLength: 65, examples: ['chat_*'] }), {
      minItems: 1, maxItems: 50, uniqueItems: true, description: 'Operation ids that it opens; `*` at the end stands for any ending. All of level user when absent'
    }))
  }, { additionalProperties: false }),
  failures: ['not_implemented'],
  response: {
    201: Type.Object({
      token: Token('Sent as `Authorization: Bearer`; told here and never again'),
      user_id: Type.String(),
      expires_at: Timestamp
    }, { title: 'UserToken' })
  }
} satisfies Contract

export const streamTicketCreate = {
  operationId: 'stream_ticket_create',
  summary: 'Make a ticket for one stream',
  description: 'For where a page cannot set headers (`EventSource`, sockets): sent once, as the query parameter `ticket`, within 30 s. It opens what the key that made it opens, and is dead when that is.',
  tags: ['keys'],
  response: {
    201: Type.Object({
      ticket: Token('Good for one request'),
      expires_at: Timestamp
    }, { title: 'StreamTicket' })
  }
} satisfies Contract

export const keyRevoke = {
  operationId: 'key_revoke',
  summary: 'Take a key back',
  description: 'Makes every instance refuse the key at once and ends its streams, whatever it remembers of the Core\'s verdict. For the Core, or whoever revokes keys there, to call after it has done so: with an admin key, ' +
    'or signed with `MUXI_API_WEBHOOK_SECRET` as Standard Webhooks have it (`webhook-id`, `webhook-timestamp`, `webhook-signature`). Takes user tokens as well.',
  tags: ['keys'],
  isTaking: true,
  body: Type.Object({
    key: Type.Optional(Type.String({ minLength: 1, maxLength: 4_096, description: 'The key itself' })),
    key_sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$', maxLength: 64, description: 'Its SHA-256 in hex, for who has no more', examples: ['9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'] }))
  }, { additionalProperties: false, minProperties: 1, maxProperties: 1, examples: [{ key_sha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08' }] }),
  response: { 200: Type.Object({ status: Type.Literal('revoked') }, { title: 'KeyRevoked' }) }
} satisfies Contract
