/** What an operation may need of a Core, by name, and the Core's route that gives it. */
export const capabilities = {
  chat: 'POST /v1/chat',
  'users.resolve': 'POST /v1/users/resolve',
  'agents.read': 'GET /v1/agents/{}',
  'agents.list': 'GET /v1/agents',
  'agents.create': 'POST /v1/agents',
  'agents.update': 'PATCH /v1/agents/{}',
  'agents.delete': 'DELETE /v1/agents/{}',
  'agents.import': 'POST /v1/agents/import',
  'sessions.read': 'GET /v1/sessions/{}/messages',
  'buffers.clear': 'DELETE /v1/memory/buffer',
  'memories.search': 'GET /v1/agents/{}/memories/search',
  'memories.clear': 'DELETE /v1/agents/{}/memories',
  'users.list': 'GET /v1/users',
  'contexts.read': 'GET /v1/users/{}/context',
  'contexts.create': 'POST /v1/users/{}/context',
  'contexts.update': 'PATCH /v1/users/{}/context',
  'contexts.delete': 'DELETE /v1/users/{}/context',
  'mcp_servers.list': 'GET /v1/agents/{}/mcp/servers',
  'mcp_servers.read': 'GET /v1/agents/{}/mcp/servers/{}',
  'mcp_servers.connect': 'POST /v1/agents/{}/mcp/servers',
  'mcp_servers.disconnect': 'DELETE /v1/agents/{}/mcp/servers/{}',
  'knowledge.list': 'GET /v1/agents/{}/knowledge',
  'knowledge.create': 'POST /v1/agents/{}/knowledge',
  'knowledge.delete': 'DELETE /v1/agents/{}/knowledge/{}',
  'knowledge.search': 'GET /v1/agents/{}/knowledge/search',
  'auth.introspect': 'POST /v1/auth/introspect'
} as const

export type Capability = keyof typeof capabilities

/** The routes in a Core's own OpenAPI document, parameter names left out: `GET /v1/agents/{}`. */
export function routesIn (document: unknown): Set<string> {
  const { paths } = (document ?? {}) as { paths?: Record<string, Record<string, unknown> | null> }
  return new Set(Object.entries(paths ?? {}).flatMap(([path, methods]) =>
    Object.keys(methods ?? {}).map((method) => `${method.toUpperCase()} ${path.replace(/\{[^}]*\}/g, '{}').replace(/(?<=.)\/$/, '')}`)))
}
