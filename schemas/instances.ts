import { Type, type Static, type TInteger } from '@sinclair/typebox'
import { Timestamp, oneOf } from './common.ts'
import { kinds, type Kind } from './connections.ts'
import type { Contract } from './contract.ts'

export const Instance = Type.Object({
  id: Type.String({ description: 'As `X-Muxi-Instance` and the list of connections name it; another one after each start', examples: ['9f1c2d3e'] }),
  version: Type.String({ examples: ['0.1.0'] }),
  address: Type.Optional(Type.String({ description: 'Where it listens, by the name of its host where it listens on all addresses', examples: ['http://muxi-api-7d4b9:8000'] })),
  worker: Type.Optional(Type.Integer({ minimum: 1, description: 'Which of the workers of its host it is, where there are several', examples: [1] })),
  started_at: Timestamp,
  told_at: { ...Timestamp, description: 'When it said what stands here, by its own clock' },
  state: oneOf(['starting', 'ready', 'degraded', 'not_ready', 'draining'], { description: 'As its `/health/ready` says; starting: it does not listen yet; draining: it stops', examples: ['ready'] }),
  core: Type.String({ description: '`up`, or why the MUXI Core does not serve it', examples: ['up'] }),
  load: Type.Object({
    requests: Type.Integer({ minimum: 0, description: 'Being answered, streams included', examples: [2] }),
    streams: Type.Object(
      // One for each kind.
      Object.fromEntries(kinds.map((kind) => [kind, Type.Integer({ minimum: 0, examples: [0] })])) as Record<Kind, TInteger>,
      { description: 'Open, by what they carry' }
    ),
    event_loop: Type.Number({ minimum: 0, maximum: 1, description: 'How much of the last seconds its one thread was busy', examples: [0.12] }),
    memory_mb: Type.Integer({ minimum: 0, examples: [142] })
  })
}, { title: 'Instance', description: 'A process of this server' })
export type Instance = Static<typeof Instance>

export const InstanceList = Type.Object({
  instances: Type.Array(Instance, { description: 'The oldest first' }),
  answered_by: Type.String({ description: 'Which of them answers this call', examples: ['9f1c2d3e'] })
}, { title: 'InstanceList' })

export const instanceList = {
  operationId: 'instance_list',
  summary: 'List the instances of this server',
  description: 'Those that share one Redis: where each is, since when, how it is and how much it has to do. Each tells it every 5 seconds; one that stops leaves the list at once, one that is gone without a word within 15 seconds. Without Redis there is one.',
  tags: ['system'],
  response: { 200: InstanceList },
  failures: ['state_unavailable']
} satisfies Contract
