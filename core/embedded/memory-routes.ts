import { Type } from '@sinclair/typebox'
import { CoreError } from './envelope.ts'
import type { Memory, StoredMessage } from './memory.ts'
import { route, type Route } from './router.ts'

const Limit = Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 }))

/** Sessions and the buffer of one user. */
export function memoryRoutes ({ memory, offers }: { memory: Memory, offers: 'all' | 'real' }): Route[] {
  const cleared = (user = '', session?: string) =>
    ({ object: 'memory', type: 'memory.buffer.cleared', data: { user_id: user, session_id: session, messages_cleared: memory.clear(user, session) } })

  return [
    route({
      method: 'GET',
      path: '/v1/sessions',
      level: 'client',
      user: 'always',
      summary: 'List the sessions of a user',
      query: Type.Object({ limit: Limit, active_only: Type.Optional(Type.Boolean()) }),
      handle: ({ user = '', query: { limit = 50 } }) => {
        const sessions = memory.sessions(user).slice(0, limit)
          .map(({ message_count: count, created_at: created, ...session }) => session)
        return { object: 'list', type: 'session.list', data: { sessions, count: sessions.length } }
      }
    }),
    route({
      method: 'GET',
      path: '/v1/sessions/{id}',
      level: 'client',
      user: 'always',
      summary: 'Read one session',
      handle: ({ user = '', params: { id } }) => {
        const session = memory.sessions(user).find(({ session_id: of }) => of === id)
        if (!session) throw new CoreError(404, 'RESOURCE_NOT_FOUND', 'Session not found')
        return { object: 'session', type: 'session.retrieved', data: session }
      }
    }),
    route({
      method: 'GET',
      path: '/v1/sessions/{id}/messages',
      level: 'client',
      user: 'always',
      summary: 'Read the oldest messages of a session',
      query: Type.Object({ limit: Limit, before: Type.Optional(Type.String()) }),
      // the real Core gives the oldest messages and ignores `before`
      handle: ({ user = '', params: { id = '' }, query: { limit = 50 } }) => {
        const all = memory.of(user, id)
        const messages = all.slice(0, limit).map((message) => messageView(message, offers))
        return { object: 'list', type: 'session.messages', data: { messages, count: messages.length, has_more: all.length > limit } }
      }
    }),
    route({
      method: 'GET',
      path: '/v1/memory/buffer',
      level: 'either',
      user: 'always',
      summary: 'Measure the buffer of a user',
      handle: ({ user = '' }) => {
        const messages = memory.of(user)
        const kilobytes = messages.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0) / 1024
        const data = { user_id: user, total_messages: messages.length, sessions: memory.sessions(user).length, buffer_size_kb: Number(kilobytes.toFixed(2)) }
        return { object: 'memory', type: 'memory.buffer.retrieved', data }
      }
    }),
    route({
      method: 'DELETE',
      path: '/v1/memory/buffer',
      level: 'either',
      user: 'always',
      summary: 'Forget the messages of a user',
      handle: ({ user }) => cleared(user)
    }),
    route({
      method: 'DELETE',
      path: '/v1/memory/buffer/{session}',
      level: 'either',
      user: 'always',
      summary: 'Forget the messages of one session',
      handle: ({ user, params }) => cleared(user, params.session)
    })
  ]
}

function messageView ({ text, timestamp, role, agent_id: agent, ...ids }: StoredMessage, offers: 'all' | 'real'): object {
  // the real Core names the overlord whoever answered; who it was is an extension
  const answeredBy = offers === 'all' && role === 'assistant' ? { answered_by: agent } : {}
  const metadata = { role, timestamp, agent_id: 'overlord', ...ids, formation_id: 'embedded', ...answeredBy }
  return { text, metadata, timestamp, namespace: 'buffer', embedding: null }
}
