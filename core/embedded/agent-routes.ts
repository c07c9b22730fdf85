import { Type } from '@sinclair/typebox'
import { AgentBody, AgentImport, AgentPatch, agentOf, agentView, changeAgent, createAgent, type StoredAgent } from './agents.ts'
import { invalidMember, checked } from './body.ts'
import { type Answer, CoreError } from './envelope.ts'
import { readConfig } from './agent-file.ts'
import { route, type Route } from './router.ts'
import type { State } from './state.ts'

/** Reading, creating, changing and deleting agents. */
export function agentRoutes ({ agents, offers }: State): Route[] {
  const answer = (agent: StoredAgent, type: string): Answer => ({ object: 'agent', type, data: agentView(agent, offers) })
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
        data: { agents: [...agents.values()].map((agent) => agentView(agent, offers)), count: agents.size }
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
      handle: ({ params, body }) => {
        const agent = agentOf(agents, params.id)
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
      handle: ({ params }) => {
        const { id } = agentOf(agents, params.id)
        agents.delete(id)
        return { object: 'agent', type: 'agent.deleted', data: { id, deleted: true } }
      }
    }),
    route({
      method: 'POST',
      path: '/v1/agents/import',
      level: 'admin',
      extension: true,
      summary: 'Create an agent from a file below the working folder, or from a configuration in the body',
      body: Type.Object({ config_path: Type.Optional(Type.String({ maxLength: 1000 })), config: Type.Optional(Type.Unknown()) }),
      handle: async ({ body: { config_path: path, config } }) => {
        if ((path === undefined) === (config === undefined)) throw invalidMember('config', 'exactly one of config_path and config is required')
        const agent = createAgent(checked(AgentImport, path === undefined ? config : await readConfig(path)), 'api')
        const created = add(agent)
        return 'data' in created ? { ...created, data: { ...created.data, mcp_servers_connected: agent.mcp_servers.length } } : created
      }
    })
  ]
}
