import { Type } from '@sinclair/typebox'
import { agentOf } from './agents.ts'
import { invalidMember } from './body.ts'
import { route, type Route } from './router.ts'
import type { State } from './state.ts'
import { readWorkingFile } from './working-file.ts'

const Source = Type.Object({
  id: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$' }),
  description: Type.Optional(Type.String({ maxLength: 10_000 })),
  source_type: Type.Union([Type.Literal('content'), Type.Literal('file')]),
  content: Type.Optional(Type.String({ minLength: 1, maxLength: 5 * 1024 * 1024 })),
  path: Type.Optional(Type.String({ minLength: 1, maxLength: 1024 }))
})

/** What an agent can look up: listing, adding, removing and searching it. */
export function knowledgeRoutes ({ agents, knowledge }: State): Route[] {
  const own = { level: 'admin', extension: true } as const

  return [
    route({
      ...own,
      method: 'GET',
      path: '/v1/agents/{id}/knowledge',
      summary: 'List what an agent can look up',
      handle: ({ params }) => {
        const { id, knowledge_sources: sources } = agentOf(agents, params.id)
        return { object: 'list', type: 'knowledge.list', data: { agent_id: id, knowledge_sources: sources, count: sources.length } }
      }
    }),
    route({
      ...own,
      method: 'POST',
      path: '/v1/agents/{id}/knowledge',
      summary: 'Give an agent a text to look up, from the body or from a file below the working folder',
      body: Source,
      handle: async ({ params, body: { id, description = '', source_type: kind, content, path } }) => {
        const agent = agentOf(agents, params.id)
        if (id === 'search') throw invalidMember('id', 'search is the path of the search')
        if ((kind === 'content') !== (content !== undefined) || (kind === 'file') !== (path !== undefined)) {
          throw invalidMember(kind === 'file' ? 'path' : 'content', `source_type ${kind} takes exactly the member ${kind === 'file' ? 'path' : 'content'}`)
        }
        if (path !== undefined && !/\.(txt|md|json|ya?ml)$/.test(path)) throw invalidMember('path', 'the file must end in .txt, .md, .json, .yaml or .yml')
        const text = path === undefined ? content ?? '' : await readWorkingFile('path', path)
        const source = await knowledge.add(agent, { id, description }, text)
        return { status: 201, object: 'knowledge', type: 'knowledge.created', data: source }
      }
    }),
    route({
      ...own,
      method: 'DELETE',
      path: '/v1/agents/{id}/knowledge/{knowledge_id}',
      summary: 'Take a text away from an agent',
      handle: ({ params: { id, knowledge_id: source = '' } }) => {
        knowledge.remove(agentOf(agents, id), source)
        return { object: 'knowledge', type: 'knowledge.deleted', data: { id: source, deleted: true } }
      }
    }),
    route({
      ...own,
      method: 'GET',
      path: '/v1/agents/{id}/knowledge/search',
      summary: 'Search what an agent can look up',
      query: Type.Object({
        query: Type.String({ minLength: 1, maxLength: 1000 }),
        top_k: Type.Optional(Type.Integer({ minimum: 1, maximum: 50 })),
        threshold: Type.Optional(Type.Number({ minimum: 0, maximum: 1 }))
      }),
      handle: ({ params, query: { query, top_k: limit = 3, threshold = 0.7 } }) => {
        const { id } = agentOf(agents, params.id)
        const results = knowledge.search(id, query, { limit, threshold })
        return { object: 'list', type: 'knowledge.search', data: { agent_id: id, query, results, count: results.length } }
      }
    })
  ]
}
