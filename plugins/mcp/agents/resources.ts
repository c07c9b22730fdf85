import { ResourceNotFoundError, type Resource, type ResourceTemplateType } from '@modelcontextprotocol/server'
import type { FastifyRequest } from 'fastify'
import type { Feature } from '../feature.ts'
import { isOpen, pageOfAgents, read, refusalOf } from './inner.ts'

const mimeType = 'application/json'

interface Kind {
  template: string
  /** What reads it, as any caller would. */
  operation: string
  url: (id: string) => string
  name: string
  title: string
  description: string
}

/** What can be read, by the beginning of its URI. */
const kinds: Record<string, Kind> = {
  agents: {
    template: 'muxi://agents/{agent_id}',
    operation: 'agent_get',
    url: (id) => `/api/v1/agents/${id}`,
    name: 'agent',
    title: 'An agent',
    description: 'One agent with its model, its tool servers and its knowledge, as agent_get answers it'
  },
  conversations: {
    template: 'muxi://conversations/{user_id}',
    operation: 'conversation_list',
    url: (id) => `/api/v1/conversations/${id}?limit=100`,
    name: 'conversation',
    title: 'The conversation of a user',
    description: 'The latest 100 exchanges of one user with the agents, newest first, as conversation_list answers them'
  },
  traces: {
    template: 'muxi://traces/{trace_id}',
    operation: 'trace_get',
    url: (id) => `/api/v1/traces/${id}`,
    name: 'trace',
    title: 'A trace',
    description: 'What was done for one request, step by step, as trace_get answers it'
  }
}

/** The URI of a resource, as a host makes it from the template (RFC 6570). */
export function uriOf (kind: 'agents' | 'conversations', id: string): string {
  // Like the template, encode also what encodeURIComponent leaves as it is.
  return `muxi://${kind}/${encodeURIComponent(id).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)}`
}

/** Agents, conversations and traces to read. Each is what an operation answers the same caller. */
export const resources: Feature = {
  capabilities: { resources: { subscribe: true, listChanged: true }, completions: {} },
  install: (server, request) => {
    server.setRequestHandler('resources/list', async ({ params: { cursor } = {} }) => {
      const { agents, nextCursor } = await pageOfAgents(request, cursor)
      const own = cursor === undefined ? ownOf(request) : []
      return { resources: [...own, ...agents.map(({ id, name, description }): Resource => ({ uri: uriOf('agents', id), name: id, title: name ?? id, description, mimeType }))], ...(nextCursor !== undefined && { nextCursor }) }
    })
    server.setRequestHandler('resources/templates/list', async () => ({
      resourceTemplates: Object.values(kinds).filter(({ operation }) => isOpen(request, operation)).map(({ template: uriTemplate, name, title, description }): ResourceTemplateType => ({ uriTemplate, name, title, description, mimeType }))
    }))
    server.setRequestHandler('resources/read', async ({ params: { uri } }) => {
      const { kind, id } = partsOf(uri)
      const answer = await read(request, kind.url(encodeURIComponent(id)))
      // What no operation takes as an id is the id of nothing.
      if (answer.code === 'not_found' || answer.code === 'bad_request') throw new ResourceNotFoundError(uri)
      if (answer.code !== undefined) throw refusalOf(answer)
      return { contents: [{ uri, mimeType, text: answer.body }] }
    })
  }
}

/** Whether the caller may hear of changes to a resource: only of what it may read. Traces do not change once they are told. */
export function mayHear (request: FastifyRequest, uri: string): boolean {
  try {
    const { kind, id } = partsOf(uri)
    if (kind === kinds.traces || !isOpen(request, kind.operation)) return false
    // Throws where the key belongs to another user.
    return kind !== kinds.conversations || request.userId(id) !== ''
  } catch {
    return false
  }
}

/** The body of a request of 2026-07-28 that subscribes, without the resources that its caller may not read; any other body as it is. */
export function heardIn (body: unknown, request: FastifyRequest): unknown {
  const message = body as { method?: unknown, params?: { notifications?: { resourceSubscriptions?: unknown } } } | undefined
  const uris = message?.method === 'subscriptions/listen' ? message.params?.notifications?.resourceSubscriptions : undefined
  if (!Array.isArray(uris)) return body
  const { params } = message!
  return { ...message, params: { ...params, notifications: { ...params!.notifications, resourceSubscriptions: uris.filter((uri) => typeof uri !== 'string' || mayHear(request, uri)) } } }
}

/** A key that speaks for one user can read what that one said. */
function ownOf (request: FastifyRequest): Resource[] {
  const { sub } = request.caller
  if (sub === undefined || !isOpen(request, kinds.conversations!.operation)) return []
  const { name, title, description } = kinds.conversations!
  return [{ uri: uriOf('conversations', request.userId()), name, title, description, mimeType }]
}

function partsOf (uri: string): { kind: Kind, id: string } {
  const [, name = '', encoded = ''] = /^muxi:\/\/([a-z]+)\/([^/?#]{1,1024})$/.exec(uri) ?? []
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined
  const id = decoded(encoded)
  // As a piece of a path these would name another operation.
  if (kind === undefined || /^\.{0,2}$/.test(id) || /\p{Cs}/u.test(id)) throw new ResourceNotFoundError(uri)
  return { kind, id }
}

function decoded (text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}
