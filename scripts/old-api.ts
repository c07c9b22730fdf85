import type { ErrorCode } from '../schemas/errors.ts'

/** A request as a client of an older API would send it, with the key of an admin unless the code is `unauthorized`. `{admin}` and `{user}` stand for keys. */
export interface OldRequest { method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', url: string, headers?: Record<string, string>, payload?: unknown }

/** Something of the older APIs that is gone: what replaces it, by which operations where those may still be to come, and requests that show it with what they are answered. */
export interface Gone { was: string, now: string, by?: string[], shown: { request: OldRequest, code: ErrorCode | number }[] }

/** Older paths and names by the operation that took their place. Paths are relative to `/api/v1`. */
export const oldNames: Record<string, string[]> = {
  chat_send: ['`chat_with_overlord`'],
  agent_list: ['`list_agents`'],
  agent_chat_send: ['POST `/agents/{id}/messages`', 'POST `/chat/{agent_id}/with_media`'],
  user_context_get: ['GET `/users/{id}/context_memory`'],
  user_context_create: ['POST `/users/{id}/context_memory`'],
  user_context_update: ['PATCH `/users/{id}/context_memory`'],
  user_context_delete: ['DELETE `/users/{id}/context_memory`']
}

/** Names of tools that no MCP endpoint has any more. */
export const oldTools = ['chat_with_overlord', 'list_agents']

const chat = (payload: object, url = '/api/v1/chat') => ({ request: { method: 'POST', url, payload }, code: 'bad_request' } as const)
const missing = (url: string, method: OldRequest['method'] = 'GET') => ({ request: { method, url }, code: 'not_found' } as const)
const keyless = (url: string, headers: Record<string, string> = {}) => ({ request: { url, headers }, code: 'unauthorized' } as const)

export const gone: Gone[] = [
  {
    was: 'PUT, on any path',
    now: 'PATCH; only the fields sent are changed',
    shown: ['/api/v1/agents/greeter', '/api/v1/users/u1/context'].map((url) => ({ request: { method: 'PUT', url, payload: {} }, code: 'method_not_allowed' }))
  },
  {
    was: 'paths without `/api/v1`, such as `/agents`, or with the `/v1` of the Core',
    now: '`/api/v1/…`; at the root are only the paths that the table shows there',
    shown: [missing('/agents'), missing('/chat', 'POST'), missing('/v1/agents'), missing('/v1/chat', 'POST'), missing('/v1/mcp/servers'), missing('/v1/memories/u1')]
  },
  {
    was: '`/agents/{id}/messages`',
    now: '`agent_chat_send`; to read them `agent_conversation_list`',
    shown: [missing('/api/v1/agents/greeter/messages'), { request: { method: 'POST', url: '/api/v1/agents/greeter/messages', payload: { content: 'Hello' } }, code: 'not_found' }]
  },
  {
    was: '`/chat/{agent_id}/with_media`, multipart',
    now: '`attachments` of any chat, in base64',
    shown: [
      missing('/api/v1/chat/greeter/with_media', 'POST'),
      { request: { method: 'POST', url: '/api/v1/chat', headers: { 'content-type': 'multipart/form-data; boundary=b' }, payload: '--b--' }, code: 'unsupported_media_type' }
    ]
  },
  {
    was: '`/users/{user_id}/context_memory`',
    now: '`/users/{user_id}/context`',
    shown: (['GET', 'POST', 'PATCH', 'DELETE'] as const).map((method) => missing('/api/v1/users/u1/context_memory', method))
  },
  {
    was: '`/logs/app/stream`, `/logs/trace/stream`',
    now: '`/logs/stream`, `/traces/stream`',
    by: ['log_stream', 'trace_stream'],
    shown: [missing('/api/v1/logs/app/stream'), missing('/api/v1/logs/trace/stream')]
  },
  {
    was: '`?api_key=` and other keys in a URL',
    now: '`Authorization: Bearer <key>`, or `X-API-Key: <key>`',
    shown: [
      keyless('/api/v1/agents?api_key={admin}'), keyless('/mcp?api_key={admin}'), keyless('/api/v1/agents?access_token={admin}'),
      { request: { url: '/api/v1/agents?api_key={admin}' }, code: 'bad_request' }
    ]
  },
  {
    was: '`X-Muxi-Client-Key`, `X-Muxi-Admin-Key`: headers of the Core',
    now: 'the same keys, in the header above',
    shown: [keyless('/api/v1/agents', { 'x-muxi-admin-key': '{admin}' }), keyless('/api/v1/conversations/u1', { 'x-muxi-client-key': '{user}' })]
  },
  {
    was: 'single-key mode: one `sk_muxi_…` for everything, or none at all (`api_key=False`)',
    now: 'a user key and an admin key of the Core, on every path but health and documents; see [keys](guides/keys.md)',
    shown: [keyless('/api/v1/agents'), keyless('/api/v1/agents', { authorization: 'Bearer sk_muxi_0123456789abcdefghij' })]
  },
  {
    was: '`message` in a chat',
    now: '`content`',
    shown: [chat({ message: 'Hello' }), chat({ message: 'Hello' }, '/api/v1/agents/greeter/chat'), chat({ content: 'Hello', message: 'Hello' }), chat({ message: 'Hello' }, '/api/v1/chat/stream')]
  },
  {
    was: '`agent_id` in the body of a chat',
    now: 'the path: `agent_chat_send`, `agent_chat_stream`',
    shown: [chat({ content: 'Hello', agent_id: 'greeter' })]
  },
  {
    was: '`stream` and `mode` in the body of a chat',
    now: 'the path: `chat_stream`, `agent_chat_stream`',
    shown: [chat({ content: 'Hello', stream: true }), chat({ content: 'Hello', mode: 'async' })]
  },
  {
    was: '`files` in a chat',
    now: '`attachments`',
    shown: [chat({ content: 'Hello', files: [] })]
  },
  {
    was: 'integer user ids',
    now: 'strings: `"42"` for `42`; `"0"` where none is named',
    shown: [chat({ content: 'Hello', user_id: 42 }), chat({ content: 'Hello', user_id: 42 }, '/api/v1/chat/stream')]
  },
  {
    was: 'a model as one string, `"openai/gpt-4o"`',
    now: '`{"provider":"openai","model":"gpt-4o"}`',
    shown: [{ request: { method: 'POST', url: '/api/v1/agents', payload: { id: 'ada', description: 'Counts', model: 'openai/gpt-4o' } }, code: 'bad_request' }]
  },
  {
    was: 'a tool server with `id`, `type` and `endpoint`, for all agents together',
    now: '`name` and `url` or `command`, under `/agents/{agent_id}/mcp_servers`',
    shown: [{ request: { method: 'POST', url: '/api/v1/agents/greeter/mcp_servers', payload: { id: 'stock', type: 'http', endpoint: 'http://127.0.0.1:9' } }, code: 'bad_request' }, missing('/api/v1/mcp/servers')]
  },
  {
    was: '`offset` where a list goes back in time',
    now: '`before`: send `next_before` of the page before; other lists keep `limit` and `offset`',
    shown: [{ request: { url: '/api/v1/conversations/u1?offset=10' }, code: 'bad_request' }, { request: { url: '/api/v1/agents/greeter/conversations?user_id=u1&offset=10' }, code: 'bad_request' }]
  },
  {
    was: 'fields and query parameters that mean nothing, passed over',
    now: 'refused, by name',
    shown: [chat({ content: 'Hello', priority: 1 }), { request: { url: '/api/v1/agents?page=2' }, code: 'bad_request' }]
  },
  {
    was: 'forms (`application/x-www-form-urlencoded`) and plain text',
    now: 'JSON with `Content-Type: application/json`',
    shown: ['application/x-www-form-urlencoded', 'text/plain'].map((type) => ({ request: { method: 'POST', url: '/api/v1/chat', headers: { 'content-type': type }, payload: 'content=Hello' }, code: 'unsupported_media_type' }))
  },
  {
    was: 'MCP messages in a form of our own',
    now: 'JSON-RPC 2.0 at `/mcp`, as any MCP client sends it; see [MCP](guides/mcp.md)',
    shown: [{ request: { method: 'POST', url: '/mcp', payload: { tool: 'list_agents', parameters: {} } }, code: -32_600 }]
  }
]

/** Error codes by their older names. */
export const oldCodes = {
  invalid_request: 'bad_request',
  authentication_error: 'unauthorized',
  permission_denied: 'forbidden',
  rate_limit_exceeded: 'rate_limited'
} as const satisfies Record<string, ErrorCode>
