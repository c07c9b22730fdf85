import { Type } from '@sinclair/typebox'
import { AgentBody, AgentImport, AgentPatch, agentOf, agentView, changeAgent, createAgent, type StoredAgent } from './agents.ts'
import { invalidMember, checked } from './body.ts'
import { type Answer, CoreError } from './envelope.ts'
import { readConfig } from './agent-file.ts'
import { route, type Route } from './router.ts'
import type { State } from './state.ts'
import { requireVersion } from './versions.ts'

/** Reading, creating, changing and deleting agents. */
export function agentRoutes (state: State): Route[] {
  const { agents, mcp, knowledge } = state
  const answer = (agent: StoredAgent, type: string): Answer => ({ object: 'agent', type, data: agentView(agent, state) })
  const add = (agent: StoredAgent): Answer => {
    if (agents.has(agent.id)) throw new CoreError(409, 'RESOURCE_CONFLICT', `Agent '${agent.id}' already exists`)
    agents.set(agent.id, agent)
    return { ...answer(agent, 'agent.created'), status: 201 }
  }

  return [
    route({
      method: 'GET',
      path: '/v1/agents',
      level: 'admin',
      summary: 'List the agents',
      handle: () => ({
        object: 'list',
        type: 'agent.list',
        data: { agents: [...agents.values()].map((agent) => agentView(agent, state)), count: agents.size }
      })
    }),
    route({
      method: 'GET',
      path: '/v1/agents/{id}',
      level: 'admin',
      summary: 'Read one agent',
      handle: ({ params }) => answer(agentOf(agents, params.id), 'agent.retrieved')
    }),
    route({
      method: 'POST',
      path: '/v1/agents',
      level: 'admin',
      extension: true,
      summary: 'Create an agent',
      body: AgentBody,
      handle: ({ body }) => add(createAgent(body, 'api'))
    }),
    route({
      method: 'PATCH',
      path: '/v1/agents/{id}',
      level: 'admin',
      extension: true,
      summary: 'Change an agent; model merges by key',
      body: AgentPatch,
      handle: ({ params, body, headers }) => {
        const agent = agentOf(agents, params.id)
        requireVersion(headers['if-match'], agent.version)
        changeAgent(agent, body)
        return answer(agent, 'agent.updated')
      }
    }),
    route({
      method: 'DELETE',
      path: '/v1/agents/{id}',
      level: 'admin',
      extension: true,
      summary: 'Delete an agent',
      handle: async ({ params, headers }) => {
        const { id, version } = agentOf(agents, params.id)
        requireVersion(headers['if-match'], version)
        agents.delete(id)
        knowledge.forget(id)
        await mcp.forget(id)
        return { object: 'agent', type: 'agent.deleted', data: { id, deleted: true, version } }
      }
    }),
    route({
      method: 'POST',
      path: '/v1/agents/import',
      level: 'admin',
      extension: true,
      summary: 'Create an agent from a file below the working folder, or from a configuration in the body',
      body: Type.Object({ config_path: Type.Optional(Type.String({ maxLength: 1024 })), config: Type.Optional(Type.Unknown()) }),
      handle: async ({ body: { config_path: path, config } }) => {
        if ((path === undefined) === (config === undefined)) throw invalidMember('config', 'exactly one of config_path and config is required')
        const agent = createAgent(checked(AgentImport, path === undefined ? config : await readConfig(path)), 'api')
        if (new Set(agent.mcp_servers.map(({ name }) => name)).size < agent.mcp_servers.length) throw invalidMember('mcp_servers', 'two servers have one name')
        mcp.check(agent.mcp_servers)
        add(agent)
        const connected = await mcp.connectAll(agent)
        return { status: 201, object: 'agent', type: 'agent.created', data: { ...agentView(agent, state), mcp_servers_connected: connected } }
      }
    })
  ]
}
