import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { openapiGet } from '../schemas/docs.ts'

const docs: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/openapi.json', { schema: openapiGet, config: { access: 'public' }, serializerCompiler: () => (data) => JSON.stringify(data) }, async () => app.openapi() as { openapi: string })
}

export default docs
