import { Type } from '@sinclair/typebox'
import { AgentId, Timestamp, UserId, limit } from './common.ts'
import type { Contract } from './contract.ts'

const params = Type.Object({ agent_id: AgentId })
/** A question in words, for searches. */
export const Question = Type.String({ minLength: 1, maxLength: 1_000, description: 'What to look for, in words' })
export const Similarity = Type.Number({ minimum: 0, maximum: 1, description: '1 is a perfect match', examples: [0.83] })

export const MemoryHit = Type.Object({
  content: Type.String({ examples: ['Lives in Oslo'] }),
  similarity: Similarity,
  created_at: Type.Optional(Timestamp),
  message_id: Type.Optional(Type.String({ description: 'The message in which it was said, where that is known' }))
}, { title: 'MemoryHit', description: 'Something that is remembered of a user' })

export const agentMemorySearch = {
  operationId: 'agent_memory_search',
  summary: 'Search what an agent remembers of its users',
  description: 'What it remembers and of whom, the most alike first. A Core that cannot search by itself needs `user_id`: then the newest 1,000 memories of that user, of whichever agent, are compared word by word.',
  tags: ['memory'],
  params,
  querystring: Type.Object({
    query: Question,
    user_id: Type.Optional({ ...UserId, description: 'Only what was said by this user' }),
    limit: limit(5)
  }, { additionalProperties: false }),
  response: { 200: Type.Object({ results: Type.Array(MemoryHit) }, { title: 'MemoryHits' }) }
} satisfies Contract

export const agentMemoryClear = {
  operationId: 'agent_memory_clear',
  summary: 'Make an agent forget a user, or everybody',
  description: 'Exactly one of `user_id` and `all=true`. A Core that keeps memories by user and not by agent forgets all of that user, and cannot forget everybody. This cannot be undone.',
  tags: ['memory'],
  params,
  querystring: Type.Object({
    user_id: Type.Optional({ ...UserId, description: 'Forget this user' }),
    all: Type.Optional(Type.Boolean({ description: 'Forget everybody' }))
  }, { additionalProperties: false }),
  response: {
    200: Type.Object({
      status: Type.Literal('cleared'),
      agent_id: Type.String(),
      user_id: Type.Optional(Type.String()),
      memories_cleared: Type.Optional(Type.Integer({ minimum: 0 }))
    }, { title: 'MemoryCleared' })
  }
} satisfies Contract
