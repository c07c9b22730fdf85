interface Tag { name: string, summary: string, parent?: string, description: string }

/** In the order of a first visit; `summary` and `parent` are for documents that have a place for them. */
export const tags: Tag[] = [
  { name: 'chat', summary: 'Chat', description: 'Talk to agents' },
  { name: 'conversations', summary: 'Conversations', parent: 'chat', description: 'What was said' },
  { name: 'socket', summary: 'Socket', description: 'Chat and signaling over one WebSocket' },
  { name: 'rtc', summary: 'WebRTC', description: 'Rooms in which WebRTC peers find each other' },
  { name: 'agents', summary: 'Agents', description: 'The agents of this MUXI' },
  { name: 'memory', summary: 'Memory', parent: 'agents', description: 'What agents remember' },
  { name: 'knowledge', summary: 'Knowledge', parent: 'agents', description: 'Documents that agents look up' },
  { name: 'mcp_servers', summary: 'Tool servers', parent: 'agents', description: 'Tool servers that agents are connected to' },
  { name: 'users', summary: 'Users', description: 'The end users, and what is known of each' },
  { name: 'mcp', summary: 'Model Context Protocol', description: 'The Model Context Protocol: every JSON operation as a tool' },
  { name: 'keys', summary: 'Keys', description: 'Tokens and tickets made from a key, and taking keys back' },
  { name: 'system', summary: 'System', description: 'How this MUXI is doing' },
  { name: 'logs', summary: 'Logs', parent: 'system', description: 'What is logged, as it happens' },
  { name: 'traces', summary: 'Traces', parent: 'system', description: 'What was done for each request, as it happens and afterwards' },
  { name: 'otlp', summary: 'OpenTelemetry', parent: 'system', description: 'Logs and traces of other services' },
  { name: 'health', summary: 'Health', parent: 'system', description: 'Is it there, is it well' },
  { name: 'docs', summary: 'Documents', parent: 'system', description: 'What this server offers' }
]
