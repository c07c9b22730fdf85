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
  'mcp_tools.call': 'POST /v1/agents/{}/mcp/servers/{}/tools/{}',
  'knowledge.list': 'GET /v1/agents/{}/knowledge',
  'knowledge.create': 'POST /v1/agents/{}/knowledge',
  'knowledge.delete': 'DELETE /v1/agents/{}/knowledge/{}',
  'knowledge.search': 'GET /v1/agents/{}/knowledge/search',
  'auth.introspect': 'POST /v1/auth/introspect'
} as const

export type Capability = keyof typeof capabilities

const words = new Set(Object.values(capabilities).flatMap((route) => route.split('/').slice(2)))

/** A path below `/v1` with `{}` for every id, as in the table, without its query. */
export function templateOf (path: string): string {
  const query = path.indexOf('?')
  const end = query < 0 ? path.length : query
  const first = path.indexOf('/', 1)
  if (first < 0 || first > end) return path.slice(0, end)
  // By hand: to split and join would cost three times as much, with every call.
  let template = path.slice(0, first)
  for (let at = first; at < end;) {
    const slash = path.indexOf('/', at + 1)
    const next = slash < 0 || slash > end ? end : slash
    const word = path.slice(at + 1, next)
    template += words.has(word) ? `/${word}` : '/{}'
    at = next
  }
  return template
}

/** The routes in a Core's own OpenAPI document, parameter names left out: `GET /v1/agents/{}`. */
export function routesIn (document: unknown): Set<string> {
  const { paths } = (document ?? {}) as { paths?: Record<string, Record<string, unknown> | null> }
  return new Set(Object.entries(paths ?? {}).flatMap(([path, methods]) =>
    Object.keys(methods ?? {}).map((method) => `${method.toUpperCase()} ${path.replace(/\{[^}]*\}/g, '{}').replace(/(?<=.)\/$/, '')}`)))
}
