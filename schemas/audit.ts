import { Type, type Static } from '@sinclair/typebox'
import { Timestamp, before, limit, oneOf, older } from './common.ts'
import type { Contract } from './contract.ts'

const events = ['refused', 'refusals_surge', 'address_blocked', 'key_blocked', 'key_exposed', 'key_revoked', 'user_token_created', 'admin_change'] as const
const what = {
  description: 'refused: no key, a bad one, or one of too low a level; refusals_surge: more than a hundred of them in a minute, of which only those are listed; ' +
    'address_blocked, key_blocked: after too many failed attempts; key_exposed: sent in clear text where HTTPS is required; admin_change: an admin operation other than a read, done'
}

export const AuditEvent = Type.Object({
  id: Type.String({ examples: ['aud_mf3k1c9a0b1c2d3e4f5a'] }),
  at: Timestamp,
  event: oneOf(events, what),
  request_id: Type.Optional(Type.String({ examples: ['req_8Zk2mT0qPx4Lw7Ra'] })),
  operation: Type.Optional(Type.String({ description: 'Its id', examples: ['agent_delete'] })),
  method: Type.Optional(Type.String({ examples: ['DELETE'] })),
  path: Type.Optional(Type.String({ description: 'Without the query', examples: ['/api/v1/agents/ada'] })),
  address: Type.Optional(Type.String({ description: 'Where the request came from', examples: ['203.0.113.7'] })),
  key: Type.Optional(Type.String({ description: 'The beginning of the key\'s digest: the same key has the same one', examples: ['Qm3xT0aPz1Lk'] })),
  details: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { examples: [{ reason: 'unknown' }] }))
}, { title: 'AuditEvent', description: 'One security event' })
export type AuditEvent = Static<typeof AuditEvent>

const moment = { ...Timestamp, maxLength: 40 }
const querystring = Type.Object({
  limit: limit(20),
  before: before(),
  event: Type.Optional(oneOf(events)),
  address: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'Only what came from this address' })),
  key: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'The beginning of a key\'s digest, as an event shows it' })),
  from: Type.Optional(moment),
  to: Type.Optional(moment)
}, { additionalProperties: false })
export type AuditQuery = Static<typeof querystring>

export const auditEventList = {
  operationId: 'audit_event_list',
  summary: 'Read the security events',
  description: 'Newest first, over all instances: refusals, blocks, revocations and changes by admins. The last 10,000 of 30 days; without Redis since the start of the process.',
  tags: ['system'],
  querystring,
  failures: ['state_unavailable'],
  response: { 200: Type.Object({ events: Type.Array(AuditEvent), ...older }, { title: 'AuditEventList' }) }
} satisfies Contract
