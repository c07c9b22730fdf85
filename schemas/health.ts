import { Type, type Static } from '@sinclair/typebox'
import { oneOf } from './common.ts'
import { type Contract, media } from './contract.ts'

export const Health = Type.Object({ status: Type.Literal('ok') }, { title: 'Health' })

export const Readiness = Type.Object({
  status: oneOf(['ready', 'degraded', 'not_ready', 'draining'], { description: 'degraded: a part that can be done without is away' }),
  version: Type.String({ description: 'Of this server', examples: ['0.1.0'] }),
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
  response: {
    200: Readiness,
    503: { ...Readiness, description: 'Not now; `checks` says why', examples: [{ status: 'not_ready', version: '0.1.0', checks: { core: 'the MUXI Core has not been checked yet' } }] }
  }
} satisfies Contract

export const metricsGet = {
  operationId: 'metrics_get',
  summary: 'Read the metrics in the Prometheus text format',
  description: 'Of this instance alone: scrape each.',
  tags: ['health'],
  response: { 200: media('The metrics of this instance', 'text/plain', '# TYPE muxi_api_core_up gauge\nmuxi_api_core_up 1\n') }
} satisfies Contract
