import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'
import { hoist } from './hoist.ts'
import { complete, type Document } from './operations.ts'
import { asItems, asText } from './renderings.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI document of all operations, made once: version 3.1. */
    openapi: () => object
    /** The same as version 3.2. */
    openapiNext: () => object
  }
}

/** Makes the OpenAPI document from the contracts, and serves the explorer at /docs. */
export default fp(async (app) => {
  const { api } = app.config
  const routes = new Map<string, RouteOptions>()
  await app.register(swagger, {
    hideUntagged: false,
    convertConstToEnum: false,
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'MUXI API',
        version: app.release,
        summary: 'The front door of MUXI',
        description,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' }
      },
      servers: [{ url: api.public_url ?? '/', description: 'This server' }],
      components: {
        securitySchemes: {
          key: { type: 'http', scheme: 'bearer', description: 'A key of the MUXI Core. An admin key opens what a user key opens, and more' },
          header: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'The same key, for MCP hosts that cannot send the other header' }
        }
      }
    },
    transform: ({ schema, url, route }) => {
      if (schema.hide !== true) routes.set(schema.operationId!, route)
      return { url, schema: withLevel(schema, route) }
    }
  })

  // Plain JSON from here on, without what contracts share.
  const whole = once(() => complete(JSON.parse(JSON.stringify(app.swagger())) as Document, routes))
  app.decorate('openapi', once(() => hoist(asText(whole()))))
  app.decorate('openapiNext', once(() => hoist(asItems(whole()))))

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

const description = [
  'Send your key as `Authorization: Bearer <key>`. A user key opens the operations of level `user`, an admin key all; `public` ones need none.',
  'Every failure has the same body, or that of RFC 9457 for who accepts `application/problem+json`; `code` is for programs.',
  'Every answer has an `X-Request-Id`; send your own and it is used. A W3C `traceparent` is continued.'
].join('\n\n')
const levels = { public: 'Needs no key.', user: 'Needs a user key or an admin key.', admin: 'Needs an admin key.' }

function withLevel (schema: FastifySchema, { config }: RouteOptions): FastifySchema {
  const { access = 'admin', capability, prefers } = config ?? {}
  const response = Object.fromEntries(Object.entries(schema.response ?? {}).map(([status, answer]: [string, { description?: string, title?: string }]) =>
    [status, answer.description === undefined ? { description: answer.title ?? 'Success', ...answer } : answer]))
  return {
    ...schema,
    description: [schema.description, levels[access]].filter(Boolean).join('\n\n'),
    response,
    // The list names the level (OpenAPI 3.1, Security Requirement Object: role names).
    security: access === 'public' ? [] : [{ key: [access] }, { header: [access] }],
    'x-access': access,
    ...(capability !== undefined && { 'x-core-capability': capability }),
    ...(prefers !== undefined && { 'x-core-prefers': prefers })
  } as FastifySchema
}

function once<T> (make: () => T): () => T {
  let made: T | undefined
  return () => made ??= make()
}
