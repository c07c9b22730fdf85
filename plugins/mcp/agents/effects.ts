import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Changes } from '../changes.ts'
import type { Catalog } from './catalog.ts'
import { uriOf } from './resources.ts'

interface Effect {
  /** The lists of agents are others: resources and prompts. */
  agents?: true
  /** The agent of its path is another. */
  agent?: true
  /** Tool servers came or went. */
  tools?: true
  /** The user that it was for has said something, or it is forgotten. */
  conversation?: true
}

/** What operations change of what MCP shows, by their ids. */
const effects: Record<string, Effect> = {
  agent_create: { agents: true, tools: true },
  agent_import: { agents: true, tools: true },
  agent_update: { agents: true, agent: true, tools: true },
  agent_delete: { agents: true, agent: true, tools: true },
  mcp_server_connect: { agent: true, tools: true },
  mcp_server_disconnect: { agent: true, tools: true },
  knowledge_create: { agent: true },
  knowledge_delete: { agent: true },
  chat_send: { conversation: true },
  chat_stream: { conversation: true },
  agent_chat_send: { conversation: true },
  agent_chat_stream: { conversation: true },
  agent_conversation_clear: { conversation: true }
}

/** Tells what operations change once they are done, whoever called them and by what protocol. */
export function tellEffects (app: FastifyInstance, changes: Pick<Changes, 'publish'>, catalog: Catalog): void {
  app.addHook('onRoute', (route) => {
    const effect = effects[route.schema?.operationId ?? '']
    if (effect === undefined) return
    // Before the answer: whoever has it and asks again here must not see what was.
    if (effect.tools) route.onSend = [...[route.onSend ?? []].flat(), mark]
    route.onResponse = [...[route.onResponse ?? []].flat(), async (request: FastifyRequest, reply: FastifyReply) => {
      if (reply.statusCode < 400) tell(effect, request)
    }]
  })

  async function mark (_: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<unknown> {
    if (reply.statusCode < 400) catalog.mark()
    return payload
  }

  function tell ({ agents, agent, tools, conversation }: Effect, request: FastifyRequest): void {
    const { agent_id: id } = request.params as { agent_id?: string }
    const { userId } = request.trace
    if (agents) {
      changes.publish({ kind: 'resources' })
      changes.publish({ kind: 'prompts' })
    }
    if (agent && id !== undefined) changes.publish({ kind: 'resource', uri: uriOf('agents', id) })
    if (conversation && userId !== undefined) changes.publish({ kind: 'resource', uri: uriOf('conversations', userId) })
    if (tools && app.config.api.mcp_agent_tools && app.core.offers('mcp_tools.call')) catalog.lookSoon(request)
  }
}
