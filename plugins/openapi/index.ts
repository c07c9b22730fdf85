import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'
import { hoist } from './hoist.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI document of all operations, made once. */
    openapi: () => object
  }
}

const tags = [
  { name: 'chat', description: 'Talk to agents' },
  { name: 'agents', description: 'The agents of this MUXI' },
  { name: 'conversations', description: 'What was said' },
  { name: 'memory', description: 'What agents remember' },
  { name: 'users', description: 'The end users, and what is known of each' },
  { name: 'mcp_servers', description: 'Tool servers that agents are connected to' },
  { name: 'knowledge', description: 'Documents that agents look up' },
  { name: 'keys', description: 'Tokens and tickets made from a key, and taking keys back' },
  { name: 'system', description: 'How this MUXI is doing' },
  { name: 'mcp', description: 'The Model Context Protocol: every JSON operation as a tool' },
  { name: 'health', description: 'Is it there, is it well' },
  { name: 'docs', description: 'What this server offers' }
]

/** Makes the OpenAPI document from the contracts, and serves the explorer at /docs. */
export default fp(async (app) => {
  const { api } = app.config
  await app.register(swagger, {
    hideUntagged: false,
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'MUXI API',
        version: app.release,
        description: 'The front door of MUXI. Send your key as `Authorization: Bearer <key>`. Every failure has the same body.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' }
      },
      servers: [{ url: api.public_url ?? '/', description: 'This server' }],
      tags,
      components: {
        securitySchemes: {
          key: { type: 'http', scheme: 'bearer', description: 'A key of the MUXI Core. An admin key opens what a user key opens, and more' },
          header: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'The same key, for MCP hosts that cannot send the other header' }
        }
      }
    },
    transform: ({ schema, url, route }) => ({ url, schema: withLevel(schema, route) })
  })

  let document: object | undefined
  // The document is plain JSON; hoist walks it as such.
  app.decorate('openapi', () => document ??= hoist(JSON.parse(JSON.stringify(app.swagger())) as Record<string, unknown>))

  if (api.docs) {
    await app.register(async (scope: FastifyInstance) => {
      let count = 0
      // The explorer's routes are pages and files: public, hidden, named by us.
      scope.addHook('onRoute', (route) => {
        route.config = { ...route.config, access: 'public' }
        route.schema = { ...route.schema, hide: true, operationId: route.schema?.operationId ?? (route.method === 'HEAD' ? `docs_head_${count}` : `docs_file_${++count}`) }
        route.onRequest = [async (request, reply) => { reply.header('content-security-policy', policy) }, ...[route.onRequest ?? []].flat()]
      })
      await scope.register(swaggerUi, {
        routePrefix: '/docs',
        staticCSP: false,
        uiConfig: { url: '/openapi.json', deepLinking: true, persistAuthorization: false, tryItOutEnabled: true },
        transformSpecification: () => app.openapi() as never,
        transformSpecificationClone: false
      })
    })
  }
}, { name: 'openapi', dependencies: ['errors'] })

/** The explorer runs its own scripts and styles and calls this server; nothing from elsewhere. */
const policy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; frame-ancestors 'none'"

function withLevel (schema: FastifySchema, { config }: RouteOptions): FastifySchema {
  const { access = 'admin', capability } = config ?? {}
  const response = Object.fromEntries(Object.entries(schema.response ?? {}).map(([status, answer]: [string, { description?: string, title?: string }]) =>
    [status, answer.description === undefined ? { description: answer.title ?? 'Success', ...answer } : answer]))
  return {
    ...schema,
    response,
    security: access === 'public' ? [] : [{ key: [] }, { header: [] }],
    'x-access': access,
    ...(capability !== undefined && { 'x-core-capability': capability })
  } as FastifySchema
}
