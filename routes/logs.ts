import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { logStream } from '../schemas/logs.ts'

const logs: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/api/v1/logs/stream', { schema: logStream, config: { access: 'admin', ticket: true }, exposeHeadRoute: false }, async (request, reply) =>
    await app.events.stream(request, reply, 'logs'))
}

export default logs
