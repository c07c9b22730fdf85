import { Type, type Static, type TInteger } from '@sinclair/typebox'
import { oneOf, withDefault } from './common.ts'
import { kinds, type Kind } from './connections.ts'
import type { Contract } from './contract.ts'

const Wellness = oneOf(['healthy', 'degraded', 'unhealthy'])
const Component = Type.Object({
  status: Wellness,
  latency_ms: Type.Optional(Type.Number({ minimum: 0, description: 'For its smallest answer, just now' }))
})

const CoreComponent = Type.Object({
  ...Component.properties,
  host: Type.String({ description: 'Of the address in use', examples: ['core.internal:7890'] }),
  in_use: Type.String({ description: '`primary`, or the `fallback_` by its place in the settings', examples: ['primary'] }),
  addresses: Type.Array(Type.Object({
    name: Type.String({ examples: ['primary', 'fallback_1'] }),
    host: Type.String({ examples: ['core.internal:7890'] }),
    breaker: oneOf(['closed', 'half_open', 'open'], { description: 'open: calls are turned away for a while; half_open: one call tries' }),
    breaker_opened: Type.Integer({ minimum: 0, description: 'How often it opened', examples: [0] }),
    connections: Type.Object({
      open: Type.Integer({ minimum: 0, examples: [8] }),
      running: Type.Integer({ minimum: 0, description: 'Calls and streams on them', examples: [2] }),
      queued: Type.Integer({ minimum: 0, description: 'Calls that wait for one', examples: [0] })
    })
  }), { description: 'In the order in which they are used' }),
  retries: Type.Object({
    made: Type.Integer({ minimum: 0, examples: [3] }),
    denied: Type.Integer({ minimum: 0, description: 'Not made because the budget was spent', examples: [0] }),
    left: Type.Integer({ minimum: 0, description: 'Within the budget now', examples: [5] })
  }),
  refused: Type.Integer({ minimum: 0, description: 'Calls turned away by an open breaker', examples: [0] }),
  failovers: Type.Integer({ minimum: 0, description: 'Switches to another address, and back', examples: [0] })
})

/** What the server knows of the call that asks: who sets up a proxy sees what comes through it. */
const Arrival = Type.Object({
  address: Type.String({ description: 'The caller\'s, as logs and limits have it', examples: ['203.0.113.7'] }),
  peer: Type.String({ description: 'Who opened the connection: the last proxy, where there is one', examples: ['10.0.0.5'] }),
  forwarded: oneOf(['none', 'counted', 'ignored'], { description: 'What became of X-Forwarded-*; ignored: it came from an address that is not in `api.trust_proxy`', examples: ['counted'] }),
  protocol: oneOf(['http', 'https'], { description: 'That the caller used, as far as is known', examples: ['https'] }),
  host: Type.String({ description: 'That the caller named', examples: ['api.example.com'] }),
  http_version: Type.String({ description: 'On the last hop', examples: ['1.1'] })
}, { description: 'How this very call came in' })

export const SystemStatus = Type.Object({
  status: oneOf(['healthy', 'degraded', 'unhealthy'], { description: 'degraded: a part that can be done without is away; unhealthy: the MUXI Core is' }),
  version: Type.String({ description: 'Of this server', examples: ['0.1.0'] }),
  uptime_seconds: Type.Integer({ minimum: 0, description: 'Of this server', examples: [86_400] }),
  active_agents: Type.Optional(Type.Integer({ minimum: 0 })),
  active_connections: Type.Integer({ minimum: 0, description: 'Open streams of this server', examples: [3] }),
  connections: Type.Object(
    // One for each kind.
    Object.fromEntries(kinds.map((kind) => [kind, Type.Integer({ minimum: 0, examples: [0] })])) as Record<Kind, TInteger>,
    { description: 'The same by what they carry' }
  ),
  memory_usage_mb: Type.Integer({ minimum: 0, description: 'Of this server', examples: [142] }),
  database_status: Type.Optional(Type.String({ description: 'As the Core tells it', examples: ['connected'] })),
  core_version: Type.Optional(Type.String({ description: 'Of the MUXI Core' })),
  components: Type.Object({ core: CoreComponent, redis: Type.Optional(Component) }),
  missing_capabilities: Type.Array(Type.String({ examples: ['knowledge.search'] }), { description: 'What this MUXI Core cannot do, as `details.capability` of a 501 names it' }),
  arrival: Arrival
}, { title: 'SystemStatus' })
export type SystemStatus = Static<typeof SystemStatus>

export const systemStatusGet = {
  operationId: 'system_status_get',
  summary: 'Tell how this MUXI is doing',
  description: 'This server, the MUXI Core behind it, what that Core cannot do, and how this very call came in.',
  tags: ['system'],
  response: { 200: SystemStatus }
} satisfies Contract

export const SystemUsage = Type.Object({
  period: oneOf(['last_1h', 'last_24h', 'last_7d']),
  endpoints: Type.Record(Type.String(), Type.Integer({ minimum: 0 }), { description: 'Calls by method and path', examples: [{ 'POST /chat': 1250 }] }),
  agent_usage: Type.Record(Type.String(), Type.Integer({ minimum: 0 }), { description: 'Answers by agent', examples: [{ assistant: 1520 }] }),
  user_count: Type.Integer({ minimum: 0, description: 'Different users who were answered', examples: [42] }),
  total_requests: Type.Integer({ minimum: 0, examples: [1250] })
}, { title: 'SystemUsage' })

export const systemUsageGet = {
  operationId: 'system_usage_get',
  summary: 'Tell what was used of this MUXI',
  description: 'Calls by endpoint, answers by agent and different users of a period, over all instances. Without Redis the counts begin anew with the process.',
  tags: ['system'],
  querystring: Type.Object({ period: withDefault(oneOf(['last_1h', 'last_24h', 'last_7d'], { description: 'How far back' }), 'last_24h') }, { additionalProperties: false }),
  response: { 200: SystemUsage },
  failures: ['state_unavailable']
} satisfies Contract
