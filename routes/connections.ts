import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { connectionClose, connectionList } from '../schemas/connections.ts'

const connections: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/api/v1/system/connections', { schema: connectionList, config: { access: 'admin' } }, async ({ query }) =>
    await app.connections.listAll(query))

  app.delete('/api/v1/system/connections/:connection_id', { schema: connectionClose, config: { access: 'admin' } }, async ({ params: { connection_id: id } }) => {
    await app.connections.close(id)
    return { status: 'closed' as const }
  })
}

export default connections
