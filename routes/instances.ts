import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { instanceList } from '../schemas/instances.ts'

const instances: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/api/v1/system/instances', { schema: instanceList, config: { access: 'admin' } }, async () =>
    ({ instances: await app.instances.list(), answered_by: app.cluster.id }))
}

export default instances
