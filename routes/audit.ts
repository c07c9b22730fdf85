import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { auditEventList } from '../schemas/audit.ts'

const audit: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/api/v1/system/audit', { schema: auditEventList, config: { access: 'admin' } }, async ({ query }, reply) => {
    const { items: events, ...page } = reply.timeline(await app.audit.read(query), query)
    return { events, ...page }
  })
}

export default audit
