import { Type, type Static } from '@sinclair/typebox'
import { oneOf } from './common.ts'
import { type Contract, media } from './contract.ts'

export const Health = Type.Object({ status: Type.Literal('ok') }, { title: 'Health' })

export const Readiness = Type.Object({
  status: oneOf(['ready', 'degraded', 'not_ready', 'draining'], { description: 'degraded: a part that can be done without is away' }),
  version: Type.String({ description: 'Of this server' }),
  checks: Type.Record(Type.String(), Type.String(), {
    description: 'Each part that must be there: `up`, or why it is not',
    examples: [{ core: 'up' }]
  })
}, { title: 'Readiness' })
export type Readiness = Static<typeof Readiness>

export const healthGet = {
  operationId: 'health_get',
  summary: 'Tell whether the process is alive',
  description: 'Touches nothing else; use it as the liveness probe.',
  tags: ['health'],
  response: { 200: Health }
} satisfies Contract

export const healthReadyGet = {
  operationId: 'health_ready_get',
  summary: 'Tell whether the server can serve',
  description: '503 while the start checks run, while the MUXI Core is away, and while the server drains; use it as the readiness probe.',
  tags: ['health'],
  response: { 200: Readiness, 503: Readiness }
} satisfies Contract

export const metricsGet = {
  operationId: 'metrics_get',
  summary: 'Read the metrics in the Prometheus text format',
  tags: ['health'],
  response: { 200: media('The metrics of this instance', 'text/plain') }
} satisfies Contract
