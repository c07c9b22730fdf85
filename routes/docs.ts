import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { openapiGet } from '../schemas/docs.ts'

const docs: FastifyPluginAsyncTypebox = async (app) => {
  let text: string | undefined
  app.get('/openapi.json', {
    schema: openapiGet,
    config: { access: 'public', cacheable: true },
    // Of failures this makes the text, too, and that is another one each time.
    serializerCompiler: ({ httpStatus }) => (data) => httpStatus === '200' ? text ??= JSON.stringify(data) : JSON.stringify(data)
  }, async () => app.openapi() as { openapi: string })
}

export default docs
