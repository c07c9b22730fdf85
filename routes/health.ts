import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { healthGet, healthReadyGet, metricsGet } from '../schemas/health.ts'

const health: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/health', { schema: healthGet, config: { access: 'public', probe: true } }, async () => ({ status: 'ok' as const }))

  app.get('/health/ready', { schema: healthReadyGet, config: { access: 'public', probe: true } }, async (request, reply) => {
    const { status, checks } = app.health.report()
    return await reply.code(status === 'ready' || status === 'degraded' ? 200 : 503).send({ status, version: app.release, checks })
  })

  app.get('/metrics', { schema: metricsGet, config: { access: 'admin' } }, async (request, reply) => {
    reply.type(app.metrics.registry.contentType)
    return await app.metrics.registry.metrics()
  })
}

export default health
