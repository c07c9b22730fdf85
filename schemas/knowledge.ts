import { Type, type Static } from '@sinclair/typebox'
import { AgentId, Pagination, Timestamp, corePath, limit, offset, oneOf, sort, withDefault } from './common.ts'
import type { Contract } from './contract.ts'
import { Question, Similarity } from './memory.ts'

/** A source may not be called `search`: that is a path of its own. */
const KnowledgeId = Type.String({
  pattern: '^(?!search$)[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$',
  description: '1 to 128 of A-Z a-z 0-9 _ . -, beginning with a letter or digit; not "search"',
  examples: ['pricing']
})

export const KnowledgeSource = Type.Object({
  id: Type.String({ examples: ['pricing'] }),
  description: Type.Optional(Type.String({ examples: ['Prices'] })),
  document_count: Type.Optional(Type.Integer({ minimum: 0, description: 'Passages that it was cut into' })),
  created_at: Type.Optional(Timestamp)
}, { title: 'KnowledgeSource', description: 'A text that an agent looks things up in' })
export type KnowledgeSource = Static<typeof KnowledgeSource>

const Passage = Type.Object({
  content: Type.String({ examples: ['Three tiers: …'] }),
  similarity: Similarity,
  knowledge_id: Type.Optional(Type.String({ description: 'The source it is from' })),
  document_id: Type.Optional(Type.String())
}, { title: 'Passage' })

/** With a `source_type`, the field that holds the text must be there and the other must not. */
const goesWith = (kind: string, field: string, other: string) =>
  ({ if: { required: ['source_type'], properties: { source_type: { const: kind } } }, then: { required: [field], properties: { [other]: false } } })

export const KnowledgeCreate = Type.Object({
  id: KnowledgeId,
  description: Type.String({ minLength: 1, maxLength: 2_000, description: 'What the text is about' }),
  source_type: oneOf(['content', 'file'], { description: '`content`: the text is in `content`; `file`: it is in a file on the Core, named by `path`' }),
  content: Type.Optional(Type.String({ minLength: 1, maxLength: 1_000_000, description: 'The text itself; empty lines part its passages' })),
  path: Type.Optional(corePath(['txt', 'md', 'json', 'yaml', 'yml'], 'docs/pricing.md'))
}, {
  title: 'KnowledgeCreate',
  additionalProperties: false,
  allOf: [goesWith('content', 'content', 'path'), goesWith('file', 'path', 'content')],
  examples: [{ id: 'pricing', description: 'Prices', source_type: 'content', content: 'Three tiers: …' }]
})

const params = Type.Object({ agent_id: AgentId })
const tags = ['knowledge']

export const knowledgeList = {
  operationId: 'knowledge_list',
  summary: 'List what an agent can look up',
  description: 'Its sources with their ids, without their text: knowledge_search looks into that.',
  tags,
  params,
  querystring: Type.Object({ limit: limit(50), offset: offset(), sort: sort('id', 'created_at') }, { additionalProperties: false }),
  response: { 200: Type.Object({ agent_id: Type.String(), knowledge_sources: Type.Array(KnowledgeSource), pagination: Pagination }, { title: 'KnowledgeList' }) }
} satisfies Contract

export const knowledgeCreate = {
  operationId: 'knowledge_create',
  summary: 'Give an agent a text to look things up in',
  description: 'With `source_type` `content` the text goes along in `content`; with `file` the Core reads it from `path`. From then on the agent finds it, and knowledge_search does.',
  tags,
  params,
  body: KnowledgeCreate,
  response: { 201: Type.Object({ status: Type.Literal('added'), agent_id: Type.String(), knowledge_source: KnowledgeSource }, { title: 'KnowledgeAdded' }) }
} satisfies Contract

export const knowledgeDelete = {
  operationId: 'knowledge_delete',
  summary: 'Take a text away from an agent',
  description: 'The agent finds nothing of it any more. This cannot be undone.',
  tags,
  params: Type.Object({ agent_id: AgentId, knowledge_id: KnowledgeId }),
  response: { 200: Type.Object({ status: Type.Literal('removed'), agent_id: Type.String(), knowledge_source: Type.Object({ id: Type.String({ examples: ['pricing'] }) }) }, { title: 'KnowledgeRemoved' }) }
} satisfies Contract

export const knowledgeSearch = {
  operationId: 'knowledge_search',
  summary: 'Search what an agent can look up',
  description: 'The passages most like the query come back, the best first.',
  tags,
  params,
  querystring: Type.Object({
    query: Question,
    top_k: withDefault(Type.Integer({ minimum: 1, maximum: 50, description: 'Passages at most' }), 3),
    threshold: withDefault(Type.Number({ minimum: 0, maximum: 1, description: 'Only passages at least this similar' }), 0.7)
  }, { additionalProperties: false }),
  response: { 200: Type.Object({ agent_id: Type.String(), query: Type.String({ examples: ['What does it cost?'] }), results: Type.Array(Passage) }, { title: 'KnowledgeHits' }) }
} satisfies Contract
