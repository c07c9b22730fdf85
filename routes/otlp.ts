import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { logIngest, otlpBytes as bodyLimit, traceIngest } from '../schemas/otlp.ts'

const otlp: FastifyPluginAsyncTypebox = async (app) => {
  // Known to the routes of this file alone.
  app.addContentTypeParser('application/x-protobuf', { parseAs: 'buffer' }, app.otlp.parse)

  app.post('/api/v1/logs', { schema: logIngest, config: { access: 'admin', otlp: 'logs' }, bodyLimit }, async (request, reply) => await app.otlp.take(request, reply))

  app.post('/api/v1/traces', { schema: traceIngest, config: { access: 'admin', otlp: 'traces' }, bodyLimit }, async (request, reply) => await app.otlp.take(request, reply))
}

export default otlp
