import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { asyncapiGet, openapiGet, openapiNextGet } from '../schemas/docs.ts'

type Document = { openapi: string }

const config = { access: 'public', cacheable: true } as const

const docs: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/openapi.json', { schema: openapiGet, config, serializerCompiler: once }, async () => app.openapi() as Document)

  app.get('/openapi-3.2.json', { schema: openapiNextGet, config, serializerCompiler: once }, async () => app.openapiNext() as Document)

  app.get('/asyncapi.json', { schema: asyncapiGet, config, serializerCompiler: once }, async () => app.asyncapi() as { asyncapi: string })
}

/** Makes a document into text once; failures are made anew. */
function once ({ httpStatus }: { httpStatus?: string }): (data: unknown) => string {
  if (httpStatus !== '200') return JSON.stringify
  let text: string | undefined
  return (data) => text ??= JSON.stringify(data)
}

export default docs
