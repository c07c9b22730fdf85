import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { traceGet, traceList, traceSearch, traceStream } from '../schemas/traces.ts'

const traces: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/api/v1/traces/stream', { schema: traceStream, config: { access: 'admin', ticket: true }, exposeHeadRoute: false }, async (request, reply) =>
    await app.events.stream(request, reply, 'traces'))

  app.get('/api/v1/logs/trace', { schema: traceList, config: { access: 'admin' } }, async ({ query }, reply) => {
    const { items: events, ...page } = reply.timeline(await app.traces.list(query), query)
    return { events, ...page }
  })

  app.post('/api/v1/logs/trace/search', { schema: traceSearch, config: { access: 'admin' } }, async ({ body }) => await app.traces.search(body))

  app.get('/api/v1/traces/:trace_id', { schema: traceGet, config: { access: 'admin' } }, async ({ params }) => await app.traces.get(params.trace_id))
}

export default traces
